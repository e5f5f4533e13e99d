//! Everything a user can choose about a conversion, set by name: the command line, the C ABI, the preferences of the plugin and
//! the configuration of the recorder all show this one table.

use super::Share;
use crate::base::Limits;
use crate::exchange::KeepBodies;
use crate::har;
use crate::har::sanitise::Level;
use crate::http::HttpOptions;
use crate::tcp::TcpOptions;

/// What a conversion shall do. The default keeps everything.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What traffic may cost.
    pub limits: Limits,
    /// TCP reassembly.
    pub tcp: TcpOptions,
    /// HTTP parsing.
    pub http: HttpOptions,
    /// Which content to keep.
    pub keep: KeepBodies,
    /// The HAR itself.
    pub har: har::Options,
    /// The part of the traffic that is of interest; all when `None`.
    pub share: Option<Share>,
    /// True when connections do not begin in the order of their frame numbers, as may be after sorting a file by time: then they cannot be
    /// given the numbers that Wireshark counts.
    pub is_reordered: bool,
}

/// Kind of an option's value, as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true`/`false`, also `1`/`0`, `yes`/`no`, `on`/`off`.
    Switch,
    /// A number of bytes, with an optional `k`, `m` or `g` (powers of 1024).
    Bytes,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Text; giving it again adds another.
    List,
    /// Text.
    Text,
}

/// One option.
#[derive(Debug)]
pub struct Spec {
    /// Its name, in lower case with hyphens.
    pub name: &'static str,
    /// Kind of its value.
    pub kind: Kind,
    /// The value it has when it is not set.
    pub default: &'static str,
    /// One line for people.
    pub help: &'static str,
    apply: fn(&mut Options, Value<'_>),
}

/// A value that was checked against its kind.
enum Value<'v> {
    Switch(bool),
    Bytes(u64),
    Text(&'v str),
}

/// Why a value was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// There is no option of that name.
    #[error("there is no option named {0:?}")]
    UnknownName(String),
    /// The value does not fit.
    #[error("{name}: {value:?} is not {wanted}")]
    BadValue {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
        /// What is wanted.
        wanted: String,
    },
}

macro_rules! spec {
    ($name:literal, $kind:expr, $default:literal, $help:literal, $pattern:pat => |$options:ident| $set:expr) => {
        Spec {
            name: $name,
            kind: $kind,
            default: $default,
            help: $help,
            apply: |$options, value| {
                if let $pattern = value {
                    $set;
                }
            },
        }
    };
}

/// All options.
pub const OPTIONS: &[Spec] = &[
    spec!("request-bodies", Kind::Switch, "true", "Keep the bodies of requests",
        Value::Switch(on) => |options| options.keep.requests = on),
    spec!("response-bodies", Kind::Switch, "true", "Keep the bodies of responses",
        Value::Switch(on) => |options| options.keep.responses = on),
    spec!("max-body-size", Kind::Bytes, "256m", "Leave out bodies larger than this after decoding",
        Value::Bytes(bytes) => |options| options.limits.body = bytes),
    spec!("memory", Kind::Bytes, "128m", "Memory of the whole run, at most; what does not fit goes to a temporary file",
        Value::Bytes(bytes) => |options| options.limits.share_memory(usize::try_from(bytes).unwrap_or(usize::MAX))),
    spec!("pages", Kind::Switch, "true", "Sort entries onto pages; without, one page holds all",
        Value::Switch(on) => |options| options.har.pages = on),
    spec!("keep-unfulfilled", Kind::Switch, "true", "Keep requests that were never answered",
        Value::Switch(on) => |options| options.har.unanswered = on),
    spec!("pad-missing", Kind::Switch, "false", "Put NUL bytes in the place of TCP data missing in the capture",
        Value::Switch(on) => |options| options.tcp.pad_missing = on),
    spec!("strict", Kind::Switch, "false", "Strict HTTP parsing: a body that does not match its Content-Length ends its direction",
        Value::Switch(on) => |options| options.http.strict = on),
    spec!("decode-text", Kind::Switch, "false", "Turn text of every charset into Unicode instead of keeping its bytes as base64",
        Value::Switch(on) => |options| options.har.decode_text = on),
    spec!("sanitize", Kind::Choice(&["off", "basic", "strict"]), "off",
    "Take out secrets: basic as browsers do (cookies, Authorization), strict everything that may identify",
    Value::Text(word) => |options| options.har.sanitise = match word {
        "basic" => Level::Basic,
        "strict" => Level::Strict,
        _ => Level::Off,
    }),
    spec!("hide-addresses", Kind::Switch, "false", "Take out IP addresses and what can be turned back into them",
        Value::Switch(on) => |options| options.har.hide_addresses = on),
    spec!("mitmproxy-safe", Kind::Switch, "false", "Rename Content-Encoding fields that mitmproxy's importer fails on",
        Value::Switch(on) => |options| options.har.mitmproxy_safe = on),
    spec!("pseudo-headers", Kind::Switch, "false", "Write HTTP/2 and HTTP/3 pseudo header fields to _pseudoHeaders",
        Value::Switch(on) => |options| options.har.pseudo_headers = on),
    spec!("pretty", Kind::Switch, "false", "Indent the JSON",
        Value::Switch(on) => |options| options.har.pretty = on),
    spec!("only-host", Kind::List, "", "Keep only requests to this host; * stands for any text",
        Value::Text(text) => |options| options.har.only_hosts.push(text.to_owned())),
    spec!("only-url", Kind::List, "", "Keep only requests whose URL contains this text, or matches it as a whole when it has a *",
        Value::Text(text) => |options| options.har.only_urls.push(text.to_owned())),
    spec!("only-selected", Kind::Switch, "false", "Keep only requests with a packet that is selected (displayed or marked)",
        Value::Switch(on) => |options| options.har.only_selected = on),
    spec!("comment", Kind::Text, "", "Free text for the HAR's own comment",
        Value::Text(text) => |options| options.har.comment = Some(text.to_owned())),
];

/// The option of that name.
pub fn spec(name: &str) -> Option<&'static Spec> {
    OPTIONS.iter().find(|spec| spec.name == name)
}

impl Options {
    /// Sets an option from text.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), OptionError> {
        let spec = spec(name).ok_or_else(|| OptionError::UnknownName(name.to_owned()))?;
        let bad = |wanted: String| OptionError::BadValue { name: spec.name, value: value.to_owned(), wanted };
        let value = match spec.kind {
            Kind::Switch => Value::Switch(switch(value).ok_or_else(|| bad("true or false".into()))?),
            Kind::Bytes => {
                Value::Bytes(bytes(value).ok_or_else(|| bad("a number of bytes such as 500k or 64m".into()))?)
            }
            Kind::Choice(words) if !words.contains(&value) => return Err(bad(format!("one of {}", words.join(", ")))),
            Kind::Choice(_) | Kind::List | Kind::Text => Value::Text(value),
        };
        (spec.apply)(self, value);
        Ok(())
    }
}

fn switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<u64> {
    let (digits, unit) = match text.to_ascii_lowercase().strip_suffix(['k', 'm', 'g']) {
        Some(digits) => (digits.to_owned(), text.chars().last()?.to_ascii_lowercase()),
        None => (text.to_owned(), ' '),
    };
    let shift = match unit {
        'k' => 10,
        'm' => 20,
        'g' => 30,
        _ => 0,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_what_default_says() {
        for spec in OPTIONS.iter().filter(|spec| !matches!(spec.kind, Kind::List | Kind::Text)) {
            let mut options = Options::default();
            options.set(spec.name, spec.default).unwrap();
            assert_eq!(format!("{options:?}"), format!("{:?}", Options::default()), "{}", spec.name);
        }
    }

    #[test]
    fn values_are_checked() {
        let mut options = Options::default();
        options.set("max-body-size", "3K").unwrap();
        assert_eq!(options.limits.body, 3072);
        options.set("sanitize", "strict").unwrap();
        options.set("pages", "off").unwrap();
        assert!(!options.har.pages);
        options.set("only-host", "a").unwrap();
        options.set("only-host", "b").unwrap();
        assert_eq!(options.har.only_hosts.len(), 2);
        assert!(matches!(options.set("pagez", "1"), Err(OptionError::UnknownName(_))));
        for (name, value) in [("pages", "maybe"), ("memory", "12x"), ("memory", "99999999999g"), ("sanitize", "a lot")]
        {
            assert!(matches!(options.set(name, value), Err(OptionError::BadValue { .. })), "{name} {value}");
        }
    }
}
