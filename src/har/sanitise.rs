//! What is taken out of a HAR before it is shared.

use std::borrow::Cow;
use std::net::IpAddr;

use serde_json::Value;
use url::Url;

use super::form::essence;

/// How much is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Nothing.
    #[default]
    Off,
    /// What Chrome's default export takes out: Cookie, Authorization and Set-Cookie fields, cookies, data of server-sent events.
    Basic,
    /// Also values whose name speaks of a secret in fields, queries, forms and JSON, signatures of tokens, all other bodies, data of
    /// messages, comments, and host names and addresses of connections that could not be read.
    Strict,
}

/// Names whose values are secrets: the list of Cloudflare's HAR sanitizer, which holds Google's.
const WORDS: &[&str] = &[
    "samlrequest",
    "samlresponse",
    "appid",
    "assertion",
    "auth",
    "authenticity_token",
    "challenge",
    "client_id",
    "code",
    "code_challenge",
    "code_verifier",
    "email",
    "facetid",
    "fcparams",
    "serverdata",
    "shdf",
    "state",
    "usg",
    "vses2",
    "x-client-data",
];

/// Parts of names whose values are secrets.
const PARTS: &[&str] = &[
    "token",
    "session",
    "secret",
    "passw",
    "passphrase",
    "apikey",
    "api_key",
    "api-key",
    "authoriz",
    "credential",
    "jwt",
    "cookie",
];

/// What becomes of a header field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is written as it is.
    Keep,
    /// It is left out.
    Drop,
    /// Its value is replaced.
    Replace(String),
}

/// Takes out what the level says.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sanitiser {
    /// How much.
    pub level: Level,
    /// Addresses too.
    pub hide_addresses: bool,
}

impl Sanitiser {
    /// True when cookies and data of server-sent events are left out.
    pub fn is_on(&self) -> bool {
        self.level >= Level::Basic
    }

    /// True when everything that may hold a secret is left out.
    pub fn is_strict(&self) -> bool {
        self.level == Level::Strict
    }

    /// What becomes of a field.
    pub fn field(&self, is_request: bool, name: &str, value: &str) -> Fate {
        if !self.is_on() {
            return Fate::Keep;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if if is_request { is("cookie") || is("authorization") } else { is("set-cookie") } {
            return Fate::Drop;
        }
        if !self.is_strict() {
            return Fate::Keep;
        }
        let lower = name.to_ascii_lowercase();
        // Sec-WebSocket-Key is no secret, and tools that replay want it.
        if is_secret(&lower) || (lower.contains("key") && !lower.starts_with("sec-websocket-")) {
            return Fate::Replace(redacted(name));
        }
        if self.hide_addresses
            && matches!(lower.as_str(), "x-forwarded-for" | "forwarded" | "x-real-ip" | "true-client-ip" | "via")
        {
            return Fate::Replace(redacted(name));
        }
        match self.text(value) {
            Cow::Borrowed(_) => Fate::Keep,
            Cow::Owned(text) => Fate::Replace(text),
        }
    }

    /// The value of a named pair of a query or form.
    pub fn named<'v>(&self, name: &str, value: &'v str) -> Cow<'v, str> {
        if !self.is_strict() {
            Cow::Borrowed(value)
        } else if is_secret(&name.to_ascii_lowercase()) {
            Cow::Owned(redacted(name))
        } else {
            self.text(value)
        }
    }

    /// Free text: values behind `word=`, the signatures of JSON web tokens and passwords in URLs go.
    pub fn text<'v>(&self, text: &'v str) -> Cow<'v, str> {
        if !self.is_strict() {
            return Cow::Borrowed(text);
        }
        let mut clean = Cow::Borrowed(text);
        for step in [without_pairs, without_signatures, without_userinfo] {
            if let Some(next) = step(&clean) {
                clean = Cow::Owned(next);
            }
        }
        clean
    }

    /// Takes passwords and secret query values out of a URL.
    pub fn url(&self, url: &mut Url) {
        if !self.is_strict() {
            return;
        }
        // Both fail only where a URL cannot have them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let Some(query) = url.query() else { return };
        let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
        let clean: Vec<_> = pairs.iter().map(|(name, value)| (name, self.named(name, value))).collect();
        if clean.iter().zip(&pairs).any(|((_, clean), (_, value))| clean != value) {
            let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(clean).finish();
            url.set_query(Some(&query));
        }
    }

    /// A URL in a field (Referer, Location).
    pub fn url_text<'v>(&self, text: &'v str) -> Cow<'v, str> {
        if !self.is_strict() {
            return Cow::Borrowed(text);
        }
        match Url::parse(text) {
            Ok(mut url) => {
                self.url(&mut url);
                Cow::Owned(url.into())
            }
            Err(_) => self.text(text),
        }
    }

    /// What is written instead of a body, for levels that touch bodies. Only JSON and forms can be cleaned; of the rest nobody knows
    /// where the secrets are.
    pub fn body(&self, content_type: &str, body: Option<&[u8]>) -> Option<String> {
        if !self.is_strict() {
            return None;
        }
        let essence = essence(content_type).to_ascii_lowercase();
        let cleaned = body.and_then(|body| {
            if essence.ends_with("/json") || essence.ends_with("+json") {
                let mut value: Value = serde_json::from_slice(body).ok()?;
                self.json(&mut value, None);
                serde_json::to_string(&value).ok()
            } else if essence == "application/x-www-form-urlencoded" {
                let pairs = url::form_urlencoded::parse(body);
                let mut clean = url::form_urlencoded::Serializer::new(String::new());
                for (name, value) in pairs {
                    clean.append_pair(&name, &self.named(&name, &value));
                }
                Some(clean.finish())
            } else {
                None
            }
        });
        Some(cleaned.unwrap_or_else(|| redacted(if essence.is_empty() { "body" } else { &essence })))
    }

    /// Cleans a JSON value. serde_json bounds its depth.
    fn json(&self, value: &mut Value, name: Option<&str>) {
        match value {
            Value::Object(members) => {
                // Name and value may be members of their own.
                let spoken = ["name", "key"].iter().find_map(|key| members.get(*key)?.as_str()).map(str::to_owned);
                for (key, member) in members.iter_mut() {
                    match &spoken {
                        Some(spoken) if key == "value" => self.json(member, Some(spoken)),
                        _ => self.json(member, Some(key)),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json(item, name)),
            Value::Null | Value::Bool(_) => {}
            _ if name.is_some_and(|name| is_secret(&name.to_ascii_lowercase())) => {
                *value = Value::String(redacted(name.unwrap_or_default()));
            }
            Value::String(text) => {
                if let Cow::Owned(clean) = self.text(text) {
                    *text = clean;
                }
            }
            Value::Number(_) => {}
        }
    }

    /// The address that is written: when addresses are hidden, one that RFC 5737 or RFC 3849 keeps for documentation, since every
    /// entry needs one.
    pub fn address(&self, address: IpAddr) -> IpAddr {
        match address {
            _ if !self.hide_addresses => address,
            IpAddr::V4(_) => IpAddr::from([192, 0, 2, 1]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        }
    }
}

fn redacted(name: &str) -> String {
    format!("[{name} redacted]")
}

/// True when a name in lower case speaks of a secret.
fn is_secret(lower: &str) -> bool {
    WORDS.contains(&lower) || PARTS.iter().any(|part| lower.contains(part))
}

/// The text without the values of secret `name=value` pairs; `None` when there are none.
fn without_pairs(text: &str) -> Option<String> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let mut clean: Option<String> = None;
    let mut copied = 0;
    for at in memchr::memchr_iter(b'=', text.as_bytes()) {
        if at < copied {
            continue;
        }
        let before = text.as_bytes().get(copied..at)?;
        let len = before.iter().rev().take_while(|byte| is_name(byte)).count();
        let name = text.get(at - len..at)?;
        if len == 0 || !is_secret(&name.to_ascii_lowercase()) {
            continue;
        }
        let value = text.get(at + 1..)?;
        let (quote, value) = match value.strip_prefix('"') {
            Some(value) => ("\"", value),
            None => ("", value),
        };
        let len = match quote {
            "" => value.find(|c: char| c.is_whitespace() || "&;,\"'<>#".contains(c)),
            _ => value.find('"'),
        };
        let into = clean.get_or_insert_with(String::new);
        into.push_str(text.get(copied..=at)?);
        into.push_str(quote);
        into.push_str(&redacted(name));
        copied = text.len() - value.len() + len.unwrap_or(value.len());
    }
    let mut clean = clean?;
    clean.push_str(text.get(copied..)?);
    Some(clean)
}

/// The text without the signatures of JSON web tokens ([RFC 7519 §3](https://www.rfc-editor.org/rfc/rfc7519#section-3)); `None` when
/// there are none.
fn without_signatures(text: &str) -> Option<String> {
    let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    let run = |from: usize| {
        text.as_bytes().get(from..).map_or(0, |rest| rest.iter().take_while(|byte| is_base64url(byte)).count())
    };
    let mut clean: Option<String> = None;
    let (mut copied, mut at) = (0, 0);
    // Every header is a JSON object, and `{"` is `eyJ` in base64.
    while let Some(found) = text.get(at..).and_then(|rest| rest.find("eyJ")) {
        let header = at + found;
        let payload = header + run(header);
        at = payload;
        if text.as_bytes().get(payload) != Some(&b'.') {
            continue;
        }
        let signature = payload + 1 + run(payload + 1);
        at = signature;
        if text.as_bytes().get(signature) != Some(&b'.') {
            continue;
        }
        let end = signature + 1 + run(signature + 1);
        at = end;
        if end > signature + 1 {
            let into = clean.get_or_insert_with(String::new);
            into.push_str(text.get(copied..=signature)?);
            into.push_str("redacted");
            copied = end;
        }
    }
    let mut clean = clean?;
    clean.push_str(text.get(copied..)?);
    Some(clean)
}

/// The text without names and passwords in URLs (RFC 3986 §3.2.1); `None` when there are none.
fn without_userinfo(text: &str) -> Option<String> {
    let mut clean: Option<String> = None;
    let mut copied = 0;
    for found in memchr::memmem::find_iter(text.as_bytes(), "://") {
        let start = found + 3;
        let authority = text.get(start..)?;
        let end = authority.find(|c: char| c.is_whitespace() || "/?#\"'<>\\".contains(c)).unwrap_or(authority.len());
        let Some(at) = authority.get(..end).and_then(|authority| authority.rfind('@')) else { continue };
        clean.get_or_insert_with(String::new).push_str(text.get(copied..start)?);
        copied = start + at + 1;
    }
    let mut clean = clean?;
    clean.push_str(text.get(copied..)?);
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Sanitiser = Sanitiser { level: Level::Strict, hide_addresses: false };

    #[test]
    fn basic_does_what_chrome_does() {
        let basic = Sanitiser { level: Level::Basic, hide_addresses: false };
        assert_eq!(basic.field(true, "COOKIE", "a"), Fate::Drop);
        assert_eq!(basic.field(true, "authorization", "a"), Fate::Drop);
        assert_eq!(basic.field(false, "Set-Cookie", "a"), Fate::Drop);
        assert_eq!(basic.field(false, "Authorization", "a"), Fate::Keep);
        assert_eq!(basic.field(true, "Proxy-Authorization", "a"), Fate::Keep);
        assert_eq!(basic.named("password", "a"), "a");
        assert_eq!(basic.body("text/html", Some(b"x")), None);
    }

    #[test]
    fn strict_replaces_values_and_keeps_names() {
        assert_eq!(STRICT.field(true, "X-Api-Key", "s"), Fate::Replace("[X-Api-Key redacted]".into()));
        assert_eq!(
            STRICT.field(true, "Proxy-Authorization", "s"),
            Fate::Replace("[Proxy-Authorization redacted]".into())
        );
        assert_eq!(STRICT.field(true, "Accept", "text/html"), Fate::Keep);
        assert_eq!(
            STRICT.field(true, "Referer", "http://h/?code=abc&x=1"),
            Fate::Replace("http://h/?code=[code redacted]&x=1".into())
        );
        assert_eq!(
            STRICT.text("id_token=\"a b\", y=2 state=x"),
            "id_token=\"[id_token redacted]\", y=2 state=[state redacted]"
        );
        assert_eq!(STRICT.text("Bearer eyJhbGci.eyJzdWIi.c2ln-_x!"), "Bearer eyJhbGci.eyJzdWIi.redacted!");
        assert_eq!(STRICT.text("eyJ eyJ. eyJa.b é=1"), "eyJ eyJ. eyJa.b é=1");
        assert_eq!(STRICT.text("<http://u:p@h/>; ftp://x@y z@a"), "<http://h/>; ftp://y z@a");
        let mut url = Url::parse("https://u:p@h/p?pass%77ord=x&a=b%20c&jwt=1").unwrap();
        STRICT.url(&mut url);
        assert_eq!(url.as_str(), "https://h/p?password=%5Bpassword+redacted%5D&a=b+c&jwt=%5Bjwt+redacted%5D");
    }

    #[test]
    fn strict_cleans_json_and_forms_and_drops_the_rest() {
        let body = br#"{"user":{"Password":"p1","n":1},"access_token":12345,"list":[{"name":"token","value":"p2"},"code=p3"],"tokens":["p4"]}"#;
        let clean = STRICT.body("application/json; charset=utf-8", Some(body)).unwrap();
        for secret in ["p1", "p2", "p3", "p4", "12345"] {
            assert!(!clean.contains(secret), "{secret} in {clean}");
        }
        assert!(clean.contains(r#""n":1"#));
        assert_eq!(
            STRICT.body("application/x-www-form-urlencoded", Some(b"%70assword=x&a=b")).unwrap(),
            "password=%5Bpassword+redacted%5D&a=b"
        );
        assert_eq!(STRICT.body("text/html", Some(b"<p>")).unwrap(), "[text/html redacted]");
        assert_eq!(STRICT.body("application/json", Some(b"{broken token: x")).unwrap(), "[application/json redacted]");
        assert_eq!(STRICT.body("application/json", None).unwrap(), "[application/json redacted]");
    }
}
