//! Field sections of HTTP/2 and HTTP/3: entries of the static table, and literals that enter no dynamic table.

/// How a version of HTTP writes fields.
struct Coding {
    /// Flags and prefix bits of an entry of the static table.
    indexed: (u8, u32),
    /// Flags and prefix bits of the length of a literal name.
    name: (u8, u32),
    /// Bytes before a literal name.
    before_name: &'static [u8],
    /// Where the usual values stand in the static table.
    table: &'static [(&'static str, &'static str, usize)],
}

/// Literals without indexing, [RFC 7541 §6.2.2](https://www.rfc-editor.org/rfc/rfc7541#section-6.2.2).
const HPACK: Coding = Coding {
    indexed: (0x80, 7),
    name: (0, 7),
    before_name: &[0],
    table: &[(":method", "GET", 2), (":method", "POST", 3), (":scheme", "https", 7), (":status", "200", 8)],
};

/// Literals with literal names, [RFC 9204 §4.5.6](https://www.rfc-editor.org/rfc/rfc9204#section-4.5.6).
const QPACK: Coding = Coding {
    indexed: (0xc0, 6),
    name: (0x20, 3),
    before_name: &[],
    table: &[(":method", "GET", 17), (":method", "POST", 20), (":scheme", "https", 23), (":status", "200", 25)],
};

/// Fields for a HEADERS frame of HTTP/2.
pub fn hpack(fields: &[(&str, String)]) -> Vec<u8> {
    let mut out = Vec::new();
    HPACK.write(fields, &mut out);
    out
}

/// Fields for a HEADERS frame of HTTP/3, behind the prefix that asks for no dynamic entry.
pub fn qpack(fields: &[(&str, String)]) -> Vec<u8> {
    let mut out = vec![0, 0];
    QPACK.write(fields, &mut out);
    out
}

impl Coding {
    fn write(&self, fields: &[(&str, String)], out: &mut Vec<u8>) {
        for (name, value) in fields {
            if let Some(entry) = self.table.iter().find(|entry| (entry.0, entry.1) == (*name, value)) {
                integer(self.indexed, entry.2, out);
                continue;
            }
            out.extend_from_slice(self.before_name);
            integer(self.name, name.len(), out);
            out.extend_from_slice(name.as_bytes());
            integer((0, 7), value.len(), out);
            out.extend_from_slice(value.as_bytes());
        }
    }
}

/// An integer behind flags, [RFC 7541 §5.1](https://www.rfc-editor.org/rfc/rfc7541#section-5.1).
fn integer((flags, bits): (u8, u32), value: usize, out: &mut Vec<u8>) {
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(flags | value as u8);
    }
    out.push(flags | most as u8);
    let mut rest = value - most;
    while rest > 127 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
