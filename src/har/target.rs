//! The absolute URL of a request.

use std::borrow::Cow;
use std::net::IpAddr;

use memchr::memmem;
use percent_encoding::{AsciiSet, CONTROLS, percent_decode, percent_encode};
use url::{Position, Url};

use crate::base::anomaly::AnomalyKind;
use crate::exchange::{Connection, Exchange};
use crate::http::RequestHead;
use crate::net::Endpoint;

/// The URL of an exchange. Where the authority was lost with header compression state, it is the name that the client gave in TLS.
pub fn of(exchange: &Exchange, connection: &Connection) -> Option<Url> {
    let head = &exchange.request.head;
    let is_websocket = exchange.is_websocket();
    let is_lost = exchange.anomalies.count(AnomalyKind::HeaderStateLost) > 0
        && head.authority.is_none()
        && head.headers.first("host").is_none();
    let tls = connection.tls.as_ref().filter(|_| is_lost && exchange.secure);
    let name = tls.and_then(|tls| tls.sni.as_deref());
    url(head, exchange.secure, is_websocket, name, connection.server)
}

/// The URL a client would have asked for: absolute, WHATWG-normalised, without fragment
/// ([RFC 9110 §7.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.1)).
///
/// The authority is that of the target, else `:authority`, else Host, else `name` on the server's port, else the server's address. A
/// target that no URL can be made of is escaped onto the server's address, so that there always is one.
pub fn url(
    head: &RequestHead,
    is_secure: bool,
    is_websocket: bool,
    name: Option<&str>,
    server: Endpoint,
) -> Option<Url> {
    let target = head.target.as_slice();
    let absolute = split_absolute(target);
    let is_tls = |scheme: &[u8]| scheme.eq_ignore_ascii_case(b"https") || scheme.eq_ignore_ascii_case(b"wss");
    let is_secure = match absolute {
        Some((scheme, _, _)) => is_tls(scheme),
        // Some gRPC clients send `:scheme http` over TLS.
        None => is_secure || head.scheme.as_deref().is_some_and(is_tls),
    };
    let scheme = match (is_websocket, is_secure) {
        (false, false) => "http",
        (false, true) => "https",
        (true, false) => "ws",
        (true, true) => "wss",
    };
    // `CONNECT host:443`: authority-form has no scheme and no path; the far end of a tunnel is as good as always TLS.
    let is_tunnel = head.method == b"CONNECT" && !is_websocket;
    let (scheme, authority, path) = match absolute {
        Some((_, authority, path)) => (scheme, Some(authority), path),
        None if is_tunnel => ("https", head.authority.as_deref().or(Some(target)), &b"/"[..]),
        None => (scheme, head.authority.as_deref().or_else(|| head.headers.first("host")), target),
    };
    let path = escaped_path(path);
    let attempt = |authority: &str| {
        let mut url = Url::parse(&[scheme, "://", authority, &path].concat()).ok()?;
        url.set_fragment(None);
        Some(url)
    };
    let default = if matches!(scheme, "https" | "wss") { 443 } else { 80 };
    let port = if server.port == 0 { default } else { server.port };
    let named = || attempt(&format!("{}:{port}", name.and_then(|name| readable_authority(name.as_bytes()))?));
    authority.and_then(readable_authority).and_then(attempt).or_else(named).or_else(|| {
        attempt(&match server.address {
            IpAddr::V4(address) => format!("{address}:{port}"),
            IpAddr::V6(address) => format!("[{address}]:{port}"),
        })
    })
}

/// The URL as it is written. Clients that mean to send `/../` (curl's `--path-as-is`) send it, and what the server was asked for shall
/// be seen: dot segments stay where normalisation would take them out.
pub fn shown<'u>(url: &'u Url, head: &RequestHead) -> Cow<'u, str> {
    let sent = split_absolute(&head.target).map_or(head.target.as_slice(), |(_, _, path)| path);
    let end = sent.iter().position(|byte| b"?#".contains(byte)).unwrap_or(sent.len());
    let path = sent.get(..end).unwrap_or_default();
    // Most paths have nothing that could be a dot segment.
    if !path.starts_with(b".") && memmem::find(path, b"/.").is_none() && !path.contains(&b'%') {
        return Cow::Borrowed(url.as_str());
    }
    let is_dotted = path.split(|&byte| byte == b'/').any(|segment| {
        let plain: Vec<u8> = percent_decode(segment).take(3).collect();
        plain == b"." || plain == b".."
    });
    if !is_dotted || head.method == b"CONNECT" {
        return Cow::Borrowed(url.as_str());
    }
    format!("{}{}{}", &url[..Position::BeforePath], escaped_path(path), &url[Position::AfterPath..]).into()
}

/// Scheme, authority and the rest of an absolute-form target.
fn split_absolute(target: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let colon = target.iter().take(6).position(|&byte| byte == b':')?;
    let (scheme, rest) = target.split_at(colon);
    if ![&b"http"[..], b"https", b"ws", b"wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return None;
    }
    let rest = rest.strip_prefix(b"://")?;
    let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    Some((scheme, authority, path))
}

/// The authority, unless it holds bytes that would change what the rest of the URL means.
fn readable_authority(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || "/?#\\<>\"`{}|^".contains(c);
    (!text.is_empty() && !text.contains(is_odd)).then_some(text)
}

/// What consumers of HAR refuse in a path or query, beside bytes that are no ASCII.
const REFUSED: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');

/// Path and query with every byte escaped that consumers of HAR refuse, and nothing that a browser asks for changed.
fn escaped_path(target: &[u8]) -> String {
    let mut path = String::with_capacity(target.len() + 1);
    if target.first() != Some(&b'/') && target.first() != Some(&b'?') {
        path.push('/');
    }
    path.extend(percent_encode(target, REFUSED));
    path
}

/// True for URLs, and not even all, that parsing and writing leaves as they are; most are so.
pub fn is_canonical(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else { return false };
    let Some(end) = rest.bytes().position(|byte| byte == b'/') else { return false };
    let (host, path) = rest.as_bytes().split_at(end);
    let is_label = |label: &[u8]| {
        label.first().is_some_and(u8::is_ascii_lowercase)
            && !label.starts_with(b"xn--")
            && label.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    // No segment may begin with a dot, as it may be or be taken for `.` and `..`.
    let mut before = b'/';
    host.split(|&byte| byte == b'.').all(is_label)
        && path.iter().all(|&byte| {
            let is_kept = match byte {
                b'/' | b'?' | b'=' | b'&' | b'_' | b'-' | b'+' | b',' | b';' | b'~' => true,
                b'.' => before != b'/',
                _ => byte.is_ascii_alphanumeric(),
            };
            before = byte;
            is_kept
        })
}

/// The host as a client looks it up: no port, no brackets.
pub fn host(url: &Url) -> &str {
    let host = url.host_str().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::http::{Headers, Version};

    fn head(method: &str, target: &[u8], host: Option<&[u8]>) -> RequestHead {
        let mut headers = Headers::default();
        if let Some(host) = host {
            headers.push(b"hOST", host);
        }
        RequestHead {
            method: method.into(),
            target: target.into(),
            version: Version::Http11,
            scheme: None,
            authority: None,
            protocol: None,
            headers,
            span: Span::default(),
            size: 0,
            priority: None,
        }
    }

    fn server() -> Endpoint {
        Endpoint { address: "2001:db8::1".parse().unwrap(), port: 8080 }
    }

    fn shown(head: &RequestHead, is_secure: bool, is_websocket: bool) -> String {
        url(head, is_secure, is_websocket, None, server()).unwrap().into()
    }

    #[test]
    fn every_form_of_target_becomes_absolute() {
        type Case = (&'static str, &'static [u8], Option<&'static [u8]>, &'static str);
        let cases: &[Case] = &[
            ("GET", b"/a?b=c#d", Some(b"Example.COM:80"), "http://example.com/a?b=c"),
            ("GET", b"/", Some(b"[2001:DB8:0::2]:8080"), "http://[2001:db8::2]:8080/"),
            ("GET", b"/x", None, "http://[2001:db8::1]:8080/x"),
            ("GET", b"/x", Some(b""), "http://[2001:db8::1]:8080/x"),
            ("GET", b"/x", Some(b"evil/path?#"), "http://[2001:db8::1]:8080/x"),
            ("GET", b"/x", Some(b"\xff\xfe"), "http://[2001:db8::1]:8080/x"),
            ("GET", b"HTTP://h/p?q", Some(b"other"), "http://h/p?q"),
            ("GET", b"https://h:443/p", None, "https://h/p"),
            ("GET", b"http://h?q", None, "http://h/?q"),
            ("OPTIONS", b"*", Some(b"h"), "http://h/*"),
            ("CONNECT", b"h.example:443", Some(b"h.example:443"), "https://h.example/"),
            ("CONNECT", b"h.example:8443", None, "https://h.example:8443/"),
            (
                "GET",
                b"/a b|{}\xc3\xa9\xe9?x= |\\\"<\t",
                Some(b"h"),
                "http://h/a%20b%7C%7B%7D%C3%A9%E9?x=%20%7C%5C%22%3C%09",
            ),
            ("GET", b"//double/slash", Some(b"h"), "http://h//double/slash"),
            ("GET", b"", Some(b"h"), "http://h/"),
        ];
        for (method, target, host, expected) in cases {
            assert_eq!(&shown(&head(method, target, *host), false, false), expected);
        }
        assert_eq!(shown(&head("GET", b"/chat", Some(b"h:443")), true, true), "wss://h/chat");
        assert_eq!(shown(&head("GET", b"http://h/p", Some(b"proxy")), true, false), "http://h/p");
        assert_eq!(shown(&head("GET", b"/chat", Some(b"h")), false, true), "ws://h/chat");
    }

    #[test]
    fn pseudo_fields_rule_over_host() {
        let mut head = head("GET", b"/p", Some(b"ignored"));
        head.authority = Some(b"h2.example".into());
        head.scheme = Some(b"https".into());
        assert_eq!(shown(&head, true, false), "https://h2.example/p");
        head.method = b"CONNECT".into();
        head.protocol = Some(b"websocket".into());
        assert_eq!(shown(&head, true, true), "wss://h2.example/p");
        let literal = Url::parse("http://[::1]:81/").unwrap();
        assert_eq!(super::host(&literal), "::1");
    }

    #[test]
    fn the_name_in_tls_stands_for_a_lost_authority() {
        let named = |head: &RequestHead, port| {
            url(head, true, false, Some("A.example"), Endpoint { port, ..server() }).unwrap().to_string()
        };
        assert_eq!(named(&head("GET", b"/p", None), 443), "https://a.example/p");
        assert_eq!(named(&head("GET", b"/p", None), 8443), "https://a.example:8443/p");
        assert_eq!(named(&head("GET", b"/p", Some(b"b.example")), 443), "https://b.example/p");
    }

    #[test]
    fn dot_segments_are_shown_as_sent() {
        let written = |target: &[u8]| {
            let head = head("GET", target, Some(b"a.test"));
            super::shown(&url(&head, false, false, None, server()).unwrap(), &head).into_owned()
        };
        assert_eq!(written(b"/a/../b?q=/../"), "http://a.test/a/../b?q=/../");
        assert_eq!(written(b"/a/%2e%2E/b#c"), "http://a.test/a/%2e%2E/b");
        assert_eq!(written(b"http://b.test/./x y"), "http://b.test/./x%20y");
        assert_eq!(written(b"/a..b/.c"), "http://a.test/a..b/.c");
        assert_eq!(written(b"../b"), "http://a.test/../b");
        assert_eq!(written(b"."), "http://a.test/.");
    }

    #[test]
    fn canonical_urls_are_left_as_they_are() {
        let mut state = 11u64;
        let mut draw = |bound: usize| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as usize % bound
        };
        let mut canonical = 0;
        for _ in 0..20_000 {
            let mut url = String::from(["http://", "https://", "ws:"][draw(3)]);
            for _ in 0..draw(14) {
                url.push(char::from(b"aaab1x/./?=&_-+,;~.%:n@#"[draw(24)]));
            }
            if is_canonical(&url) {
                canonical += 1;
                assert_eq!(Url::parse(&url).map(String::from).as_deref(), Ok(url.as_str()));
            }
        }
        assert!(canonical > 100, "{canonical}");
        assert!(is_canonical("https://h1.example.com/a/b.html?q=1&r=a.b/c"));
    }

    #[test]
    fn no_target_breaks_it() {
        let mut state = 7u64;
        for _ in 0..5000 {
            let mut bytes = || {
                (0..12)
                    .map(|_| {
                        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                        let byte = (state >> 33) as u8;
                        if byte & 1 == 0 { b":/?#[]@%\\ .xhtp"[usize::from(byte >> 4) % 15] } else { byte }
                    })
                    .collect::<Vec<u8>>()
            };
            let (target, host) = (bytes(), bytes());
            let shown = shown(&head("GET", &target, Some(&host)), false, false);
            assert!(
                shown.starts_with("http://") && shown.is_ascii() && !shown.contains(['#', ' ', '|', '{']),
                "{shown}"
            );
        }
    }
}
