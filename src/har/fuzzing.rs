//! Fuzz body of what stands in an entry: URLs, forms, cookies, and what is taken out of them.

#![allow(clippy::panic, clippy::expect_used, reason = "a body that panics is how a fuzzer learns of a fault")]

use std::net::IpAddr;

use serde_json::Value;

use super::sanitise::{Level, Sanitiser};
use super::{cookies, form, json, target};
use crate::base::{Span, Timestamp};
use crate::http::{Headers, RequestHead, Version};
use crate::net::Endpoint;

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", json.escape_ascii()))
}

/// Parts of the input, divided by NUL: method, target, authority, content type, cookie, set-cookie; the rest is a body.
pub fn texts(data: &[u8]) {
    let mut parts = data.splitn(7, |&byte| byte == 0);
    let [method, path, authority, content_type, cookie, set_cookie, body] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    let head = RequestHead {
        method: method.to_vec(),
        target: path.to_vec(),
        version: Version::Http11,
        scheme: None,
        authority: (!authority.is_empty()).then(|| authority.to_vec()),
        protocol: None,
        headers: Headers::default(),
        span: Span::default(),
        size: 0,
        priority: None,
    };
    let server = Endpoint { address: IpAddr::from([10, 0, 0, 1]), port: 80 };
    for secure in [false, true] {
        let url = target::url(&head, secure, false, None, server).expect("there always is one");
        let shown = target::shown(&url, &head);
        assert!(shown.is_ascii() && url.fragment().is_none() && url.has_host(), "{shown}");
        assert!(url::Url::parse(&shown).is_ok_and(|again| again.has_host()), "{shown}");
        let mut clean = url.clone();
        Sanitiser { level: Level::Strict, hide_addresses: true }.url(&mut clean);
        assert!(clean.password().is_none());
    }
    let kind = String::from_utf8_lossy(content_type);
    let mut headers = Headers::default();
    headers.push(b"cookie", cookie);
    headers.push(b"set-cookie", set_cookie);
    for level in [Level::Off, Level::Basic, Level::Strict] {
        let sanitiser = Sanitiser { level, hide_addresses: false };
        let mut out = Vec::new();
        if let Some(form) = form::kind(&kind) {
            form::params(&mut out, &form, body, &sanitiser);
            assert!(parsed(&out).is_array());
            out.clear();
        }
        cookies::request_cookies(&mut out, &headers);
        assert!(parsed(&out).is_array());
        out.clear();
        cookies::response_cookies(&mut out, &headers, Timestamp(0));
        assert!(parsed(&out).is_array());
        out.clear();
        json::string(&mut out, &String::from_utf8_lossy(body));
        assert_eq!(parsed(&out), String::from_utf8_lossy(body).as_ref());
        assert_eq!(sanitiser.body(&kind, Some(body)).is_some(), level == Level::Strict);
        let _ = sanitiser.text(&String::from_utf8_lossy(body));
    }
}
