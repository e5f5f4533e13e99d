//! Header fields as HAR text.

use std::borrow::Cow;

use super::json::{self, Object, array};
use super::sanitise::{Fate, Sanitiser};
use crate::exchange::BodyEnd;
use crate::http::Headers;

/// Bytes of a field as text: UTF-8 where they are valid, else Latin-1. CR, LF and NUL, which hang replay tools, become spaces.
pub fn field_text(bytes: &[u8]) -> Cow<'_, str> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|&byte| char::from(byte)).collect()),
    };
    if has_controls(bytes) && text.contains(['\r', '\n', '\0']) {
        return Cow::Owned(text.replace(['\r', '\n', '\0'], " "));
    }
    text
}

/// True when there is a byte below the space.
fn has_controls(bytes: &[u8]) -> bool {
    bytes.iter().fold(false, |found, &byte| found | (byte < b' '))
}

/// True when a name holds nothing but visible ASCII, as names should (RFC 9110 §5.1).
fn is_plain_name(name: &str) -> bool {
    name.bytes().fold(true, |is_plain, byte| is_plain & (byte > b' ') & (byte < 0x7f))
}

/// Which message the fields are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A request.
    Request,
    /// A response, and how its content was decoded.
    Response(Option<&'a BodyEnd>),
}

/// Content codings that mitmproxy's reader can apply again.
const CODINGS: [&str; 5] = ["gzip", "deflate", "br", "zstd", "identity"];

/// Writes a `headers` array.
pub fn headers(
    out: &mut Vec<u8>,
    headers: &Headers,
    message: Message<'_>,
    sanitiser: &Sanitiser,
    mitmproxy_safe: bool,
) {
    if !sanitiser.is_on() && headers.iter().all(|(name, value)| is_usual(name) && json::is_plain(value)) {
        return usual(out, headers, message, mitmproxy_safe);
    }
    array(out, shown(headers, message, sanitiser, mitmproxy_safe), |out, (name, value)| {
        let mut object = Object::open(out);
        object.string("name", &name).string("value", &value);
        object.close();
    });
}

/// Names and values in wire order. Names that replay tools hang on (empty, or with a space) are left out, as are pseudo fields.
pub fn shown<'h>(
    headers: &'h Headers,
    message: Message<'h>,
    sanitiser: &'h Sanitiser,
    mitmproxy_safe: bool,
) -> impl Iterator<Item = (Cow<'h, str>, Cow<'h, str>)> {
    headers.iter().filter_map(move |(name, value)| {
        let mut name = field_text(name);
        let is_odd = || !is_plain_name(&name) && name.contains(|c: char| c.is_whitespace() || c.is_control());
        if name.is_empty() || name.starts_with(':') || is_odd() {
            return None;
        }
        let value = field_text(value);
        let value = match sanitiser.field(message == Message::Request, &name, &value) {
            Fate::Keep => value,
            Fate::Drop => return None,
            Fate::Replace(text) => Cow::Owned(text),
        };
        if mitmproxy_safe && name.eq_ignore_ascii_case("content-encoding") && breaks_mitmproxy(&value, message) {
            name = Cow::Borrowed("x-original-content-encoding");
        }
        Some((name, value))
    })
}

/// True for a name that is written as it is.
fn is_usual(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().fold(true, |is_usual, &byte| is_usual & (byte.is_ascii_alphanumeric() | (byte == b'-')))
}

/// Writes fields of usual names and plain values, which need no look at each character.
fn usual(out: &mut Vec<u8>, headers: &Headers, message: Message<'_>, mitmproxy_safe: bool) {
    array(out, headers.iter(), |out, (mut name, value)| {
        if mitmproxy_safe
            && name.eq_ignore_ascii_case(b"content-encoding")
            && breaks_mitmproxy(&field_text(value), message)
        {
            name = b"x-original-content-encoding";
        }
        out.reserve(name.len() + value.len() + 24);
        out.extend_from_slice(b"{\"name\":\"");
        out.extend_from_slice(name);
        out.extend_from_slice(b"\",\"value\":\"");
        out.extend_from_slice(value);
        out.extend_from_slice(b"\"}");
    });
}

fn breaks_mitmproxy(value: &str, message: Message<'_>) -> bool {
    let is_undecoded = match message {
        Message::Response(Some(end)) => {
            matches!(end, BodyEnd::CodingUnknown(_) | BodyEnd::CodingBroken | BodyEnd::Bomb)
        }
        _ => false,
    };
    is_undecoded || !CODINGS.contains(&value.trim())
}
