//! What fields of a head look like: how a guess at lost header state is told from the truth.

/// A set of pseudo fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pseudo(u8);

impl Pseudo {
    /// `:method`
    pub const METHOD: Self = Self(1);
    /// `:scheme`
    pub const SCHEME: Self = Self(2);
    /// `:path`
    pub const PATH: Self = Self(4);
    /// `:authority`
    pub const AUTHORITY: Self = Self(8);
    /// `:protocol`
    pub const PROTOCOL: Self = Self(16);
    /// `:status`
    pub const STATUS: Self = Self(32);
    /// What all requests have but CONNECT.
    pub const REQUEST: Self = Self(7);

    /// The one of this name.
    pub fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b":method" => Self::METHOD,
            b":scheme" => Self::SCHEME,
            b":path" => Self::PATH,
            b":authority" => Self::AUTHORITY,
            b":protocol" => Self::PROTOCOL,
            b":status" => Self::STATUS,
            _ => return None,
        })
    }

    /// True when one of the others is among these.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// These and others.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// How many of these are not among the others.
    pub fn lacking_from(self, other: Self) -> u32 {
        (self.0 & !other.0).count_ones()
    }
}

/// A bit for each field that stands once in a head; 0 for others.
pub fn single(name: &[u8]) -> u64 {
    let nth = match name {
        b"accept-charset" => 0,
        b"accept-encoding" => 1,
        b"accept-language" => 2,
        b"accept-ranges" => 3,
        b"accept" => 4,
        b"access-control-allow-origin" => 5,
        b"age" => 6,
        b"authorization" => 7,
        b"content-encoding" => 8,
        b"content-length" => 9,
        b"content-location" => 10,
        b"content-range" => 11,
        b"content-type" => 12,
        b"date" => 13,
        b"etag" => 14,
        b"expires" => 15,
        b"from" => 16,
        b"host" => 17,
        b"if-match" => 18,
        b"if-modified-since" => 19,
        b"if-none-match" => 20,
        b"if-range" => 21,
        b"if-unmodified-since" => 22,
        b"last-modified" => 23,
        b"location" => 24,
        b"max-forwards" => 25,
        b"origin" => 26,
        b"priority" => 27,
        b"range" => 28,
        b"referer" => 29,
        b"retry-after" => 30,
        b"server" => 31,
        b"te" => 32,
        b"upgrade-insecure-requests" => 33,
        b"user-agent" => 34,
        b"sec-fetch-dest" => 35,
        b"sec-fetch-mode" => 36,
        b"sec-fetch-site" => 37,
        b"sec-fetch-user" => 38,
        b"sec-ch-ua" => 39,
        b"sec-ch-ua-mobile" => 40,
        b"sec-ch-ua-platform" => 41,
        b"x-requested-with" => 42,
        b"grpc-status" => 43,
        b"grpc-message" => 44,
        b"x-content-type-options" => 45,
        b"x-frame-options" => 46,
        b"strict-transport-security" => 47,
        _ => return 0,
    };
    1 << nth
}

/// True for fields whose values change with time or message, even where the sender goes on as before.
pub fn is_fleeting(name: &[u8]) -> bool {
    matches!(
        name,
        b":path" | b"date" | b"content-length" | b"etag" | b"last-modified" | b"age" | b"expires" | b"content-range"
    )
}

/// True for fields that a sender says the same of in all messages of a connection.
pub fn is_constant(name: &[u8]) -> bool {
    matches!(
        name,
        b":authority"
            | b":scheme"
            | b"user-agent"
            | b"server"
            | b"accept-encoding"
            | b"accept-language"
            | b"sec-ch-ua"
            | b"sec-ch-ua-mobile"
            | b"sec-ch-ua-platform"
            | b"dnt"
            | b"te"
    )
}

/// Digits, and nothing else.
pub fn is_number(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(u8::is_ascii_digit)
}

/// True when a field of that name may have this value. Names that are not known may have any.
pub fn fits(name: &[u8], value: &[u8]) -> bool {
    let has = |byte| memchr::memchr(byte, value).is_some();
    match name {
        b":path" => matches!(value, [b'/', ..] | b"*"),
        b":method" => is_token(value) && !value.iter().any(u8::is_ascii_lowercase),
        b":scheme" => !value.is_empty() && value.iter().all(u8::is_ascii_alphanumeric),
        b":status" => matches!(value, [b'1'..=b'5', _, _]) && is_number(value),
        b":authority" | b"host" => {
            !value.is_empty() && value.iter().all(u8::is_ascii_graphic) && !has(b'/') && !has(b'"') && !has(b'=')
        }
        b"content-length" | b"age" | b"max-forwards" | b"grpc-status" => is_number(value),
        b"date" | b"last-modified" | b"if-modified-since" | b"if-unmodified-since" => is_date(value),
        b"expires" => is_date(value) || value.len() < 3,
        b"content-type" => has(b'/') && !is_date(value),
        b"etag" => value.ends_with(b"\""),
        b"if-none-match" | b"if-match" => value.ends_with(b"\"") || value == b"*",
        b"location" | b"referer" | b"content-location" => has(b'/') && !has(b' '),
        b"origin" => value.windows(3).any(|part| part == b"://") || value == b"null",
        b"content-encoding" | b"accept-ranges" => !has(b'/') && !has(b'='),
        b"accept-encoding" => !has(b'/'),
        b"range" | b"content-range" => has(b'-') || has(b'*'),
        b"user-agent" | b"server" | b"cookie" | b"set-cookie" => !is_date(value) && !is_number(value),
        b"accept" => has(b'/') || has(b'*'),
        _ => true,
    }
}

fn is_token(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte))
}

/// The date of [RFC 9110 §5.6.7](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.7), as it is written today.
fn is_date(value: &[u8]) -> bool {
    value.len() == 29 && value.ends_with(b" GMT") && value.get(3..5) == Some(b", ")
}
