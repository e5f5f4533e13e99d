//! Cookie and Set-Cookie fields as HAR objects.

use chrono::{DateTime, SecondsFormat};
use cookie::{Cookie, SameSite};

use super::headers::field_text;
use super::json::{Object, array};
use crate::base::Timestamp;
use crate::http::Headers;

/// Pairs of the Cookie fields ([RFC 6265 §4.2](https://www.rfc-editor.org/rfc/rfc6265#section-4.2)); one without `=` has an empty value.
pub fn request_cookies(out: &mut Vec<u8>, headers: &Headers) {
    out.push(b'[');
    let mut is_first = true;
    for field in headers.all("cookie").map(field_text) {
        for pair in field.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            if !std::mem::take(&mut is_first) {
                out.push(b',');
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let mut object = Object::open(out);
            object.string("name", name.trim()).string("value", value.trim());
            object.close();
        }
    }
    out.push(b']');
}

/// The cookies that a response sets; Max-Age is counted from `now` and rules over Expires
/// ([RFC 6265 §5.3](https://www.rfc-editor.org/rfc/rfc6265#section-5.3)).
pub fn response_cookies(out: &mut Vec<u8>, headers: &Headers, now: Timestamp) {
    let fields: Vec<_> = headers.all("set-cookie").map(field_text).collect();
    array(out, fields.iter().filter_map(|field| Cookie::parse(field.as_ref()).ok()), |out, cookie| {
        let mut object = Object::open(out);
        object.string("name", cookie.name()).string("value", cookie.value());
        if let Some(path) = cookie.path() {
            object.string("path", path);
        }
        if let Some(domain) = cookie.domain() {
            object.string("domain", domain);
        }
        match expires(&cookie, now) {
            Some(time) => object.string("expires", &time),
            None => object.plain("expires", "null"),
        };
        object.plain("httpOnly", cookie.http_only().unwrap_or(false)).plain("secure", cookie.secure().unwrap_or(false));
        if let Some(same_site) = cookie.same_site() {
            object.string(
                "sameSite",
                match same_site {
                    SameSite::Strict => "Strict",
                    SameSite::Lax => "Lax",
                    SameSite::None => "None",
                },
            );
        }
        object.close();
    });
}

fn expires(cookie: &Cookie<'_>, now: Timestamp) -> Option<String> {
    let seconds = match cookie.max_age() {
        Some(age) => now.0.div_euclid(1_000_000_000).saturating_add(age.whole_seconds()),
        None => cookie.expires_datetime()?.unix_timestamp(),
    };
    // Beyond the year 9999 there is no ISO 8601 time that readers take.
    let last = 253_402_300_799;
    DateTime::from_timestamp(seconds.clamp(0, last), 0).map(|time| time.to_rfc3339_opts(SecondsFormat::Millis, true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(write: impl FnOnce(&mut Vec<u8>)) -> Value {
        let mut out = Vec::new();
        write(&mut out);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn pairs_of_all_cookie_fields() {
        let mut headers = Headers::default();
        headers.push(b"Cookie", b"a=1; b=x=y;; flag ; q=\"a b\"");
        headers.push(b"cookie", b"c=\xe9");
        let expected = json!([
            {"name": "a", "value": "1"}, {"name": "b", "value": "x=y"}, {"name": "flag", "value": ""},
            {"name": "q", "value": "\"a b\""}, {"name": "c", "value": "é"},
        ]);
        assert_eq!(parsed(|out| request_cookies(out, &headers)), expected);
    }

    #[test]
    fn attributes_of_set_cookie() {
        let mut headers = Headers::default();
        for field in [
            "sid=abc123; Path=/; HttpOnly",
            "theme=dark; Path=/; Max-Age=3600; SameSite=Lax; Expires=Wed, 21 Oct 2037 07:28:00 GMT",
            "exp=1; Domain=.app.test; Secure; Expires=Wed, 21 Oct 2037 07:28:00 GMT",
            "old=; expires=Thursday, 01-Jan-70 00:00:00 GMT",
            "bad; Path=/",
            "far=1; Max-Age=99999999999999999",
            "broken=1; expires=never",
        ] {
            headers.push(b"Set-Cookie", field.as_bytes());
        }
        let got = parsed(|out| response_cookies(out, &headers, Timestamp(1_795_393_527_827_000_000)));
        assert_eq!(
            got[0],
            json!({"name": "sid", "value": "abc123", "path": "/", "expires": null, "httpOnly": true, "secure": false})
        );
        assert_eq!(got[1]["expires"], "2026-11-23T01:25:27.000Z");
        assert_eq!(got[1]["sameSite"], "Lax");
        assert_eq!(got[2]["expires"], "2037-10-21T07:28:00.000Z");
        assert_eq!(got[2]["domain"], "app.test");
        assert_eq!(got[3]["expires"], "1970-01-01T00:00:00.000Z");
        let last = got.as_array().unwrap().last().unwrap();
        assert_eq!(last["expires"], Value::Null);
        assert!(got.as_array().unwrap().iter().any(|cookie| cookie["expires"] == "9999-12-31T23:59:59.000Z"));
    }
}
