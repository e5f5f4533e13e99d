//! Heads of HTTP/1: start line and field lines ([RFC 9112 §2](https://www.rfc-editor.org/rfc/rfc9112#section-2)).

use memchr::memchr2;

use crate::base::anomaly::AnomalyKind;
use crate::base::{Limits, Span};
use crate::http::{Headers, RequestHead, ResponseHead, detect};

/// Fields that the fast parser takes; larger heads go to the lenient one.
const FAST_FIELDS: usize = 64;

/// Faults of one head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// A line that is no field, white space where none may be, a line end that is none.
    pub malformed: bool,
    /// More fields than the limit; the rest is dropped.
    pub too_many: bool,
    /// Content-Length is not one number, or stands beside Transfer-Encoding.
    pub length: bool,
}

impl Faults {
    /// What they are called.
    pub fn kinds(self) -> impl Iterator<Item = AnomalyKind> {
        [
            self.malformed.then_some(AnomalyKind::HeadMalformed),
            self.too_many.then_some(AnomalyKind::HeadTooLarge),
            self.length.then_some(AnomalyKind::LengthConflict),
        ]
        .into_iter()
        .flatten()
    }
}

/// Reads a request head, or the start of one; `None` when its first line is no request line.
pub fn request(bytes: &[u8], span: Span, limits: &Limits) -> Option<(RequestHead, Faults)> {
    let (line, rest) = first_line(bytes);
    let is_cut = line.len() == bytes.len();
    let start = if is_cut { detect::cut_request_line(line) } else { detect::request_line(line) }?;
    let mut faults = Faults::default();
    faults.malformed |= start.target.is_empty() || start.target.iter().any(|byte| byte.is_ascii_whitespace());
    let head = RequestHead {
        method: start.method.to_vec(),
        target: start.target.to_vec(),
        version: start.version,
        scheme: None,
        authority: None,
        protocol: None,
        headers: fields(rest, limits, &mut faults),
        span,
        size: bytes.len() as u64,
        priority: None,
    };
    Some((head, faults))
}

/// Reads a response head; `None` when its first line is no status line.
pub fn response(bytes: &[u8], span: Span, limits: &Limits) -> Option<(ResponseHead, Faults)> {
    let (line, rest) = first_line(bytes);
    let start = detect::status_line(line)?;
    let mut faults = Faults::default();
    let head = ResponseHead {
        status: start.status,
        reason: start.reason.to_vec(),
        version: start.version,
        headers: fields(rest, limits, &mut faults),
        span,
        size: bytes.len() as u64,
    };
    Some((head, faults))
}

fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'\n', bytes) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[]),
    }
}

/// Reads field lines up to an empty one or the end. Clean fields go through httparse; whatever it refuses is read line by
/// line with every liberty that is seen in the wild.
pub fn fields(bytes: &[u8], limits: &Limits, faults: &mut Faults) -> Headers {
    let mut clean = [httparse::EMPTY_HEADER; FAST_FIELDS];
    if let Ok(httparse::Status::Complete((_, clean))) = httparse::parse_headers(bytes, &mut clean)
        && clean.len() <= limits.header_fields
    {
        let total = clean.iter().map(|field| field.name.len() + field.value.len()).sum();
        let mut headers = Headers::with_capacity(clean.len(), total);
        for field in clean {
            headers.push(field.name.as_bytes(), field.value);
        }
        return headers;
    }
    lenient_fields(bytes, limits, faults)
}

/// Obsolete line folding is joined with one space (RFC 9112 §5.2); a CR alone ends a line, as it does for browsers; white
/// space before the colon and lines without a name are faults.
fn lenient_fields(bytes: &[u8], limits: &Limits, faults: &mut Faults) -> Headers {
    let mut headers = Headers::default();
    let mut folded: Vec<u8> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (mut line, after) = next_line(rest, faults);
        rest = after;
        if line.is_empty() {
            break;
        }
        if is_folded(rest) {
            folded.clear();
            folded.extend_from_slice(line);
            while is_folded(rest) {
                let (more, after) = next_line(rest, faults);
                folded.push(b' ');
                folded.extend_from_slice(more.trim_ascii());
                rest = after;
            }
            line = &folded;
        }
        let Some((name, value)) = field(line, faults) else {
            faults.malformed = true;
            continue;
        };
        if headers.len() < limits.header_fields || frames_message(name) {
            headers.push(name, value);
        } else {
            faults.too_many = true;
        }
    }
    headers
}

/// The next line and what follows it.
fn next_line<'a>(bytes: &'a [u8], faults: &mut Faults) -> (&'a [u8], &'a [u8]) {
    let Some(end) = memchr2(b'\r', b'\n', bytes) else {
        return (bytes, &[]);
    };
    let (line, rest) = (&bytes[..end], &bytes[end..]);
    let rest = match rest {
        [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => rest,
        [_, rest @ ..] => {
            faults.malformed = true;
            // CR CR LF is one line end.
            rest.strip_prefix(b"\r\n").unwrap_or(rest)
        }
        [] => rest,
    };
    (line, rest)
}

/// True when the next line continues the one before it.
fn is_folded(rest: &[u8]) -> bool {
    matches!(rest.first(), Some(b' ' | b'\t'))
}

fn field<'a>(line: &'a [u8], faults: &mut Faults) -> Option<(&'a [u8], &'a [u8])> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii();
    if name.is_empty() {
        return None;
    }
    faults.malformed |= name.len() != colon || !name.iter().all(|&byte| detect::is_token(byte));
    Some((name, line[colon + 1..].trim_ascii()))
}

/// True for the fields that tell where the message ends and what follows it.
fn frames_message(name: &[u8]) -> bool {
    ["content-length", "transfer-encoding", "upgrade"]
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing.as_bytes()))
}

/// What the fields say about the length of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Framing {
    /// The chunked coding comes last.
    pub chunked: bool,
    /// There is a transfer coding, but not chunked.
    pub coded: bool,
    /// The one number that Content-Length states, else the first number in it.
    pub length: Option<u64>,
}

/// Reads Content-Length and Transfer-Encoding ([RFC 9112 §6](https://www.rfc-editor.org/rfc/rfc9112#section-6)).
pub fn framing(headers: &Headers, faults: &mut Faults) -> Framing {
    let mut framing = Framing::default();
    let mut has_length = false;
    for (name, value) in headers.iter() {
        if name.eq_ignore_ascii_case(b"content-length") {
            has_length = true;
            for item in value.split(|&byte| byte == b',') {
                match (number(item.trim_ascii()), framing.length) {
                    (Some(length), None) => framing.length = Some(length),
                    (Some(length), Some(first)) => faults.length |= length != first,
                    (None, _) => faults.length = true,
                }
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            for item in value.split(|&byte| byte == b',') {
                let coding = item.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
                framing.chunked = coding.eq_ignore_ascii_case(b"chunked");
                framing.coded |= !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity");
            }
        }
    }
    faults.length |= has_length && framing.coded;
    framing
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}
