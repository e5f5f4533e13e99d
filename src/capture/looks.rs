//! What a file that is no capture looks like.

/// First bytes and what has them.
const SIGNATURES: &[(&[u8], &str)] = &[
    (b"GMBU", "a Microsoft Network Monitor 2 capture (convert it with editcap)"),
    (b"RTSS", "a Microsoft Network Monitor 1 capture (convert it with editcap)"),
    (b"snoop\0\0\0", "a snoop capture (convert it with editcap)"),
    (b"btsnoop\0", "a Bluetooth btsnoop log"),
    (b"TRSNIFF data", "a DOS Sniffer capture (convert it with editcap)"),
    (b"XCP\0", "a NetXRay or Windows Sniffer capture (convert it with editcap)"),
    (b"iptrace ", "an AIX iptrace capture (convert it with editcap)"),
    (b"\x7fver", "a Savvius OmniPeek capture (convert it with editcap)"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"PK\x03\x04", "a ZIP archive (unpack it first)"),
    (b"PK\x05\x06", "an empty ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive (unpack it first)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive (unpack it first)"),
    (b"\xfd7zXZ\0", "xz data (decompress it with xz -d)"),
    (b"BZh", "bzip2 data (decompress it with bunzip2)"),
    (b"\x1f\x8b", "gzip data of an unknown method"),
    (b"\x1f\x9d", "compress data (decompress it with uncompress)"),
    (b"\x7fELF", "an ELF program or library"),
    (b"MZ", "a Windows program"),
    (b"%PDF-", "a PDF document"),
    (b"\0asm", "a WebAssembly module"),
    (b"LfLe", "a Windows event log"),
    (b"ElfFile\0", "a Windows event log"),
    (b"\xff\xfe", "a text file in UTF-16"),
    (b"\xfe\xff", "a text file in UTF-16"),
];

/// Names what begins with these bytes, as far as they tell.
pub(super) fn looks_like(head: &[u8]) -> &'static str {
    if let Some((_, name)) = SIGNATURES.iter().find(|(signature, _)| head.starts_with(signature)) {
        return name;
    }
    if let [0x0a, 0x0d, 0x0d, 0x0a, ..] = head {
        return "a pcapng capture with an unknown byte-order magic";
    }
    if head.iter().all(|&byte| byte == 0) {
        return "a file of zero bytes (lost by a full or crashed disk?)";
    }
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if !is_text(head) {
        return if is_erf(head) { "an Endace ERF capture (convert it with editcap)" } else { "unknown binary data" };
    }
    let text = head.trim_ascii_start();
    let begins = |with: &[u8]| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    if begins(b"<!doctype html") || begins(b"<html") || begins(b"<head") {
        "an HTML page"
    } else if begins(b"<pdml") || begins(b"<psml") || begins(b"<?xml") {
        "an XML file"
    } else if begins(b"{") && text.windows(5).any(|word| word == b"\"log\"") {
        "a HAR file"
    } else if begins(b"{") && text.windows(11).any(|word| word == b"\"constants\"") {
        "a Chrome net log"
    } else if begins(b"{") || begins(b"[") {
        "a JSON file"
    } else if [b"CLIENT_", b"# SSL/T", b"RSA Ses"].iter().any(|start| begins(*start)) {
        "a TLS key log (give it with --keylog)"
    } else if begins(b"-----BEGIN ") {
        "a PEM key or certificate"
    } else if begins(b"0000") {
        "a hex dump (convert it with text2pcap)"
    } else {
        "a text file"
    }
}

/// Text in ASCII or UTF-8: no control characters but white space.
fn is_text(head: &[u8]) -> bool {
    let whole = match std::str::from_utf8(head) {
        Ok(_) => true,
        // A character that the end of the sample cuts is no fault.
        Err(fault) => fault.error_len().is_none(),
    };
    whole && head.iter().all(|&byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | 0x1b))
}

/// An ERF record has no magic: type 1 to 31 without its upper bits, and a record length that holds its own header.
fn is_erf(head: &[u8]) -> bool {
    let Some(&[_, _, _, _, seconds @ .., kind, _, high, low]) = head.first_chunk::<12>() else { return false };
    let seconds: [u8; 4] = seconds;
    let year = u32::from_le_bytes(seconds) / 31_556_952;
    matches!(kind & 0x7f, 1..=31) && u16::from_be_bytes([high, low]) >= 16 && (25..=80).contains(&year)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_named() {
        for (head, part) in [
            (&b"<!DOCTYPE HTML><html>"[..], "HTML"),
            (b"\xef\xbb\xbf{\n \"log\": {", "HAR"),
            (b"{\"a\":1}", "JSON"),
            (b"\x7fELF\x02\x01\x01", "ELF"),
            (b"\x89PNG\r\n\x1a\n\0\0", "PNG"),
            (b"PK\x03\x04\x14", "ZIP"),
            (b"GMBU\0\x02", "Network Monitor"),
            (b"snoop\0\0\0\0\0\0\x02", "snoop"),
            (b"CLIENT_RANDOM 00", "key log"),
            (b"GET / HTTP/1.1\r\n", "text"),
            (b"hell\xc3", "text"),
            (b"\x0a\x0d\x0d\x0a\0\0\0\x1c\0\0\0\0", "byte-order"),
            (b"\x01\x02\x03\x04\xff\xff", "binary"),
            (b"\0\0\0\0\x10\xf0\x5c\x60\x02\x04\0\x60\0\0", "ERF"),
            (b"\0\0\0\0\0\0\0\0", "zero bytes"),
        ] {
            assert!(looks_like(head).contains(part), "{head:?} {}", looks_like(head));
        }
    }
}
