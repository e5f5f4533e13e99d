//! Tells by content whether bytes are HTTP, and which end of the connection sent them.

mod methods;

use memchr::{memchr, memchr_iter, memchr3_iter};

use super::Version;
use super::h2::PREFACE;

/// Longest method: registered ones have at most 17 bytes; longer words are text of something else.
const METHOD_MAX: usize = 32;

/// Longest version number that is taken for one.
const VERSION_MAX: usize = 8;

/// What the first bytes of a direction are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A request of HTTP/0.9 to 1.1: its sender is the client.
    Request,
    /// A response of HTTP/1.x: its sender is the server.
    Response,
    /// The preface of HTTP/2: its sender is the client.
    Http2,
    /// More bytes may tell.
    More,
    /// Not HTTP.
    No,
}

/// Judges the first bytes of a direction. `first`: nothing came before them, so that they may be a request of HTTP/0.9.
pub fn start(bytes: &[u8], first: bool) -> Start {
    let bytes = trim_line_ends(bytes);
    let shared = bytes.iter().zip(PREFACE).take_while(|(ours, theirs)| ours == theirs).count();
    if shared == PREFACE.len() {
        return Start::Http2;
    }
    match memchr(b'\n', bytes) {
        None if bytes.is_empty() || may_be_status_line(bytes) || may_be_request_line(bytes) => Start::More,
        None => Start::No,
        Some(_) if shared == bytes.len() => Start::More,
        Some(end) => {
            let line = &bytes[..end];
            if status_line(line).is_some() {
                Start::Response
            } else if request_line(line).is_some_and(|line| first || line.version != Version::Http09) {
                Start::Request
            } else {
                Start::No
            }
        }
    }
}

/// Where a response begins, or may begin, among bytes that are something else.
pub fn find_response(bytes: &[u8]) -> Option<usize> {
    // Longer than all that decides.
    const LOOK: usize = 64;
    memchr3_iter(b'H', b'h', b'I', bytes).find(|&at| {
        let rest = bytes.get(at..).unwrap_or_default();
        let look = rest.get(..LOOK).unwrap_or(rest);
        match memchr(b'\n', look) {
            Some(end) => status_line(&look[..end]).is_some(),
            None if look.len() == LOOK => status_line(look).is_some(),
            None => may_be_status_line(rest),
        }
    })
}

/// Where a request begins, or may begin, among bytes that are something else: at a line, or with a well-known method anywhere. With
/// `is_rest` the first line began before the bytes.
pub fn find_request(bytes: &[u8], is_rest: bool) -> Option<usize> {
    let mut start = 0;
    while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
        let line = rest.split_inclusive(|&byte| byte == b'\n').next().unwrap_or(rest);
        let text = line.strip_suffix(b"\n");
        let is_request = |line: &[u8]| match text {
            Some(_) => request_line(line).is_some_and(|line| line.version != Version::Http09),
            None => may_be_request_line(line),
        };
        let body = text.unwrap_or(line);
        if is_request(body) && !(is_rest && start == 0 && is_rest_of_request_line(body)) {
            return Some(start);
        }
        if text.is_none() || request_ends(body) {
            let inside = memchr_iter(b' ', body).filter_map(|space| {
                let method = METHODS.iter().find(|method| body[..space].ends_with(method))?;
                Some(space - method.len())
            });
            if let Some(at) = inside.into_iter().find(|&at| is_request(&body[at..])) {
                return Some(start + at);
            }
        }
        start += line.len();
    }
    None
}

/// True when a line ends as a request line does.
fn request_ends(line: &[u8]) -> bool {
    let line = trim_end(line);
    line.iter().rposition(|&byte| byte == b' ').is_some_and(|space| version(&line[space + 1..]).is_some())
}

/// True when the line behind the start line of a head is a field, or the end.
pub fn is_head(bytes: &[u8]) -> bool {
    let line = memchr(b'\n', bytes).map_or(&[][..], |end| &bytes[end + 1..]);
    begins_fields(line, true) != Some(false)
}

/// Whether bytes behind a start line begin with a field, or are the end of the head; `None` when there are too few. When it is not
/// `first`, the start of a name stands before them.
pub fn begins_fields(bytes: &[u8], first: bool) -> Option<bool> {
    match bytes.iter().position(|&byte| !is_token(byte)) {
        Some(0) if first => Some(matches!(bytes.first(), Some(b'\r' | b'\n'))),
        Some(end) => Some(matches!(bytes.get(end), Some(b':' | b' ' | b'\t'))),
        None => None,
    }
}

/// The bytes behind the empty lines that may stand before a message
/// ([RFC 9112 §2.2](https://www.rfc-editor.org/rfc/rfc9112#section-2.2)).
pub fn trim_line_ends(bytes: &[u8]) -> &[u8] {
    let blank = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    &bytes[blank..]
}

/// The parts of a request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// Method.
    pub method: &'a [u8],
    /// Target; white space inside it is kept.
    pub target: &'a [u8],
    /// Version; `Http09` when the line has none.
    pub version: Version,
}

/// The parts of a status line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusLine<'a> {
    /// Version.
    pub version: Version,
    /// Status code, 100 to 999.
    pub status: u16,
    /// Reason phrase, empty when missing.
    pub reason: &'a [u8],
}

/// Reads a request line without its line end ([RFC 9112 §3](https://www.rfc-editor.org/rfc/rfc9112#section-3)). Any
/// method is fine; what makes the line HTTP is the version at its end. `GET` of a path without version is HTTP/0.9.
pub fn request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    let line = trim_end(line);
    let method_len = line.iter().take(METHOD_MAX + 1).take_while(|&&byte| is_token(byte)).count();
    let (method, rest) = line.split_at(method_len);
    if method.is_empty() || method_len > METHOD_MAX || !matches!(rest.first(), Some(b' ' | b'\t')) {
        return None;
    }
    if !is_text_behind(method, rest) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let last = rest.iter().rposition(|byte| matches!(byte, b' ' | b'\t')).map_or(0, |at| at + 1);
    let (target, word) = rest.split_at(last);
    if let Some(version) = version(word) {
        return Some(RequestLine { method, target: trim_end(target), version });
    }
    let is_simple = method == b"GET" && last == 0 && (rest.starts_with(b"/") || rest.starts_with(b"http://"));
    (is_simple && !rest.iter().any(u8::is_ascii_control)).then_some(RequestLine {
        method,
        target: rest,
        version: Version::Http09,
    })
}

/// Reads a status line without its line end ([RFC 9112 §4](https://www.rfc-editor.org/rfc/rfc9112#section-4)), or the
/// `ICY 200 OK` of streaming servers.
pub fn status_line(line: &[u8]) -> Option<StatusLine<'_>> {
    let line = trim_end(line);
    let word = line.iter().take(16).position(|byte| matches!(byte, b' ' | b'\t'))?;
    let (word, rest) = line.split_at(word);
    // Clients take the name in any case.
    let version = match word.split_first_chunk::<5>() {
        _ if word == b"ICY" => Version::Http10,
        Some((name, number)) if name.eq_ignore_ascii_case(b"HTTP/") => numbered(number)?,
        _ => return None,
    };
    let rest = rest.trim_ascii_start();
    let (digits, rest) = rest.split_first_chunk::<3>()?;
    let [hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = *digits else {
        return None;
    };
    let status = u16::from(hundreds - b'0') * 100 + u16::from(tens - b'0') * 10 + u16::from(ones - b'0');
    if !matches!(rest.first(), None | Some(b' ' | b'\t' | b'\r')) {
        return None;
    }
    Some(StatusLine { version, status, reason: rest.trim_ascii() })
}

const METHODS: [&[u8]; 9] = [b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE", b"PATCH"];

/// True when the bytes begin with one of the methods of [RFC 9110 §9](https://www.rfc-editor.org/rfc/rfc9110#section-9).
pub fn has_known_method(bytes: &[u8]) -> bool {
    METHODS.iter().any(|method| bytes.strip_prefix(*method).is_some_and(|rest| rest.starts_with(b" ")))
}

/// True when bytes without a line end may be the start of a request line.
pub fn may_be_request_line(bytes: &[u8]) -> bool {
    let method_len = bytes.iter().take(METHOD_MAX + 1).take_while(|&&byte| is_token(byte)).count();
    match bytes.get(method_len) {
        _ if method_len > METHOD_MAX => false,
        None => method_len > 0,
        Some(b' ' | b'\t') => method_len > 0 && is_text_behind(&bytes[..method_len], &bytes[method_len..]),
        Some(_) => false,
    }
}

/// True when what begins behind a method may be a target: text, but behind a well-known method anything.
fn is_text_behind(method: &[u8], rest: &[u8]) -> bool {
    METHODS.contains(&method)
        || !rest.iter().take(METHOD_MAX).any(|&byte| byte < b' ' && !matches!(byte, b'\t' | b'\r'))
}

/// Reads a request line whose end is missing: a well-known method and at least a part of the target.
pub fn cut_request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    if !has_known_method(line) {
        return None;
    }
    let line = trim_end(line);
    let space = memchr(b' ', line)?;
    let (method, rest) = (&line[..space], line[space..].trim_ascii_start());
    let last = rest.iter().rposition(|&byte| byte == b' ').map_or(0, |at| at + 1);
    let (target, word) = rest.split_at(last);
    let is_version = last > 0 && (version(word).is_some() || b"HTTP/".starts_with(word));
    let target = if is_version { trim_end(target) } else { rest };
    let is_target = matches!(target.first(), Some(b'/' | b'*')) || target.starts_with(b"http") || method == b"CONNECT";
    let version = if is_version { version(word) } else { None };
    (is_target && !target.is_empty() && !target.iter().any(u8::is_ascii_control)).then_some(RequestLine {
        method,
        target,
        version: version.unwrap_or(Version::Http11),
    })
}

/// What bytes without a line end are plainly the start of: a known method or what is there of one, a method with a path, or
/// the version of a status line.
pub fn cut_start(bytes: &[u8]) -> Option<Start> {
    let method_len = bytes.iter().take(METHOD_MAX + 1).take_while(|&&byte| is_token(byte)).count();
    let (word, rest) = bytes.split_at(method_len);
    let is_method = match rest {
        [] => word.len() > 1 && METHODS.iter().any(|method| method.starts_with(word)),
        _ => has_known_method(bytes) || rest.starts_with(b" /") && may_be_request_line(bytes),
    };
    if is_method {
        return Some(Start::Request);
    }
    (bytes.starts_with(b"HTTP/") && may_be_status_line(bytes)).then_some(Start::Response)
}

/// True when the target of a request line, of which the end may be missing, is whole: something follows it.
pub fn has_whole_target(line: &[u8]) -> bool {
    let mut words = line.splitn(3, |&byte| byte == b' ');
    memchr(b'\n', line).is_some() || (words.nth(1).is_some_and(|target| !target.is_empty()) && words.next().is_some())
}

/// True when bytes whose line began before them do not begin with a request line of their own: their first word is the end of
/// a method, or of a target.
pub fn is_rest_of_request_line(bytes: &[u8]) -> bool {
    let line = memchr(b'\n', bytes).map_or(bytes, |end| &bytes[..end]);
    request_line(line).is_some_and(|line| line.target.is_empty() || methods::is_end_of_one(line.method))
}

/// True when bytes without a line end may be the start of a status line.
pub fn may_be_status_line(bytes: &[u8]) -> bool {
    let name: &[u8] = if bytes.starts_with(b"I") { b"ICY" } else { b"HTTP/" };
    let shared = bytes.len().min(name.len());
    let is_icy = name == b"ICY";
    if is_icy && bytes[..shared] != name[..shared] || !bytes[..shared].eq_ignore_ascii_case(&name[..shared]) {
        return false;
    }
    let rest = &bytes[shared..];
    let number = rest.iter().take(VERSION_MAX + 1).take_while(|&&byte| !matches!(byte, b' ' | b'\t')).count();
    if number > VERSION_MAX || rest[..number].iter().any(u8::is_ascii_control) {
        return false;
    }
    rest[number..].trim_ascii_start().iter().take(3).all(u8::is_ascii_digit)
}

/// A word that begins with `HTTP/`. Whatever writes the syntax of HTTP/1 is read as 1.1 unless it says 1.0 or 0.9, so that a
/// damaged number costs nothing.
fn version(word: &[u8]) -> Option<Version> {
    numbered(word.strip_prefix(b"HTTP/")?)
}

/// The same of what stands behind the slash.
fn numbered(number: &[u8]) -> Option<Version> {
    match number {
        b"" => None,
        b"1.0" => Some(Version::Http10),
        b"0.9" => Some(Version::Http09),
        number if number.len() <= VERSION_MAX && !number.iter().any(u8::is_ascii_control) => Some(Version::Http11),
        _ => None,
    }
}

fn trim_end(line: &[u8]) -> &[u8] {
    let kept = line.iter().rposition(|byte| !matches!(byte, b' ' | b'\t' | b'\r')).map_or(0, |at| at + 1);
    &line[..kept]
}

/// `tchar` of [RFC 9110 §5.6.2](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2).
pub fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_of_a_head_are_known() {
        for request in ["GE", "GET", "GET /", "PROPFIND /a", "POST "] {
            assert_eq!(cut_start(request.as_bytes()), Some(Start::Request), "{request}");
        }
        assert_eq!(cut_start(b"HTTP/1.1 20"), Some(Start::Response));
        for other in ["", "G", "EHLO shop.example", "220 mail", "SSH-2.0-x", "HTTP/1.1 x", "\x16\x03\x01"] {
            assert_eq!(cut_start(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn http_is_told_from_its_neighbours() {
        let yes: [(&[u8], Start); 17] = [
            (b"GET / HTTP/1.1\r\n", Start::Request),
            (b"\r\n\r\nGET / HTTP/1.1\n", Start::Request),
            (b"QUERY /a b HTTP/1.0\r\n", Start::Request),
            (b"OPTIONS * HTTP/1.1\r\n", Start::Request),
            (b"GET /old\r\n", Start::Request),
            (b"HTTP/1.1 200\r\n", Start::Response),
            (b"HTTP/1.01 404 Not Found\r\n", Start::Response),
            (b"ICY 200 OK\r\n", Start::Response),
            (b"http/1.1 200 ok\r\n", Start::Response),
            (b"Http/1.0 404\r\n", Start::Response),
            (b"HTTP/1.\xe5 200 OK\r\n", Start::Response),
            (PREFACE, Start::Http2),
            (b"PRI * HTTP/2.0\r\n\r\n", Start::More),
            (b"PROPFI", Start::More),
            (b"HTTP/1", Start::More),
            (b"", Start::More),
            (b"GET /a/long/path", Start::More),
        ];
        for (bytes, wanted) in yes {
            assert_eq!(start(bytes, true), wanted, "{}", bytes.escape_ascii());
        }
        let no: [&[u8]; 14] = [
            b"INVITE sip:bob@example.com SIP/2.0\r\n",
            b"SIP/2.0 200 OK\r\n",
            b"DESCRIBE rtsp://example.com/ RTSP/1.0\r\n",
            b"REQMOD icap://example.com/ ICAP/1.0\r\n",
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"220 mail.example.com ESMTP\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"EHLO example.com\r\n",
            b"get key\r\n",
            b"HTTP/1.1\r\n",
            b"HTTP/1.1 2000 OK\r\n",
            b"HTTP/1.1\x01 200 OK\r\n",
            b"http/ 200 ok\r\n",
            b"icy 200 OK\r\n",
        ];
        for bytes in no {
            assert_eq!(start(bytes, true), Start::No, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_prefix_never_says_no_when_the_whole_says_yes() {
        let lines: [&[u8]; 7] = [
            b"M-SEARCH /x y HTTP/1.1\r\n",
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/2.0 999\r\n",
            b"hTTp/1.1 200 OK\r\n",
            b"ICY 200 OK\r\n",
            b"GET /\r\n",
            PREFACE,
        ];
        for line in lines {
            for len in 0..line.len() {
                assert_ne!(start(&line[..len], true), Start::No, "{}", line[..len].escape_ascii());
            }
        }
    }

    #[test]
    fn the_rest_of_a_request_line_is_told_from_a_whole_one() {
        for rest in
            ["ET /x HTTP/1.1", "T http://a/ HTTP/1.1", "OST / HTTP/1.0", "dex.html HTTP/1.1", "PFIND /a HTTP/1.1"]
        {
            assert!(is_rest_of_request_line(format!("{rest}\r\nHost: a\r\n").as_bytes()), "{rest}");
        }
        for whole in ["GET /x HTTP/1.1", "LOCK /x HTTP/1.1", "LINK / HTTP/1.1", "FETCH /x HTTP/1.1", "get /x HTTP/1.1"]
        {
            assert!(!is_rest_of_request_line(whole.as_bytes()), "{whole}");
        }
        assert!(!is_rest_of_request_line(b"ET /x\r\n"));
    }

    #[test]
    fn a_cut_request_line_is_read_as_far_as_it_goes() {
        let read = |line: &'static [u8]| cut_request_line(line).map(|line| (line.method, line.target));
        assert_eq!(read(b"GET /a.gif HTT"), Some((&b"GET"[..], &b"/a.gif"[..])));
        assert_eq!(read(b"GET /a.gif HTTP/1.0"), Some((&b"GET"[..], &b"/a.gif"[..])));
        assert_eq!(read(b"POST /a.g"), Some((&b"POST"[..], &b"/a.g"[..])));
        assert_eq!(read(b"CONNECT example.com:44"), Some((&b"CONNECT"[..], &b"example.com:44"[..])));
        assert_eq!(read(b"GET "), None);
        assert_eq!(read(b"GET key"), None);
        assert_eq!(read(b"FETCH /a"), None);
    }
}
