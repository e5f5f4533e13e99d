//! What the user can choose about the HAR itself.

use super::sanitise::Level;

/// Choices of the writer. The default writes everything the capture shows.
#[derive(Debug, Clone)]
pub struct Options {
    /// `log.creator`.
    pub creator: Creator,
    /// `log.comment`, free text.
    pub comment: Option<String>,
    /// Sort entries onto pages; off: one page, named after the capture, holds all.
    pub pages: bool,
    /// Nanoseconds without a request after which the next one opens a new page: viewers draw a page as one time line.
    pub page_idle: u64,
    /// Nanoseconds that a page may span, for traffic that never rests.
    pub page_span: u64,
    /// Keep requests that were never answered.
    pub unanswered: bool,
    /// Keep only exchanges with a frame that the user selected.
    pub only_selected: bool,
    /// Keep only requests to these hosts; `*` stands for any text. Empty: all.
    pub only_hosts: Vec<String>,
    /// Keep only requests whose URL contains one of these; with a `*`, which stands for any text, the whole URL must match.
    /// Empty: all.
    pub only_urls: Vec<String>,
    /// Write text of any charset as Unicode, even where that does not keep the bytes; else such bodies are base64.
    pub decode_text: bool,
    /// Write HTTP/2 and HTTP/3 pseudo header fields to `_pseudoHeaders`.
    pub pseudo_headers: bool,
    /// What to take out before the file is shared.
    pub sanitise: Level,
    /// Take out addresses and what can be turned back into them.
    pub hide_addresses: bool,
    /// Rename Content-Encoding fields that mitmproxy's reader fails on.
    pub mitmproxy_safe: bool,
    /// Indent the JSON.
    pub pretty: bool,
    /// What exchanges are made into.
    pub shape: Shape,
}

/// The shape of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Shape {
    /// JSON, for a HAR or for lines.
    #[default]
    Json,
    /// Rows of a table.
    Row,
}

impl Default for Options {
    fn default() -> Self {
        const MINUTE: u64 = 60_000_000_000;
        Self {
            creator: Creator::default(),
            comment: None,
            pages: true,
            page_idle: 5 * MINUTE,
            page_span: 60 * MINUTE,
            unanswered: true,
            only_selected: false,
            only_hosts: Vec::new(),
            only_urls: Vec::new(),
            decode_text: false,
            pseudo_headers: false,
            sanitise: Level::Off,
            hide_addresses: false,
            mitmproxy_safe: false,
            pretty: false,
            shape: Shape::Json,
        }
    }
}

/// The program that `log.creator` names.
#[derive(Debug, Clone)]
pub struct Creator {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Default for Creator {
    fn default() -> Self {
        Self { name: env!("CARGO_PKG_NAME").into(), version: env!("CARGO_PKG_VERSION").into() }
    }
}

impl Options {
    /// True when the filters let this request through.
    pub(super) fn lets_pass(&self, host: &str, url: &str) -> bool {
        (self.only_hosts.is_empty() || self.only_hosts.iter().any(|pattern| glob(pattern.as_bytes(), host.as_bytes())))
            && (self.only_urls.is_empty()
                || self.only_urls.iter().any(|pattern| match pattern.contains('*') {
                    true => glob(pattern.as_bytes(), url.as_bytes()),
                    false => url.contains(pattern.as_str()),
                }))
    }
}

/// True when `text` matches `pattern`, in any case, where `*` stands for any bytes. Linear but for the last star met.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while from < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(byte) if byte.eq_ignore_ascii_case(&text[from]) => {
                at += 1;
                from += 1;
            }
            _ => {
                let Some((star_at, star_from)) = star else { return false };
                star = Some((star_at, star_from + 1));
                at = star_at + 1;
                from = star_from + 1;
            }
        }
    }
    pattern[at..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_names_parts_and_stars() {
        let mut options = Options { only_hosts: vec!["*.example.com".into(), "Other".into()], ..Options::default() };
        assert!(options.lets_pass("a.b.example.COM", ""));
        assert!(options.lets_pass("other", ""));
        assert!(!options.lets_pass("example.com", ""));
        options = Options { only_urls: vec!["/api/".into(), "http*z".into()], ..Options::default() };
        assert!(options.lets_pass("", "http://h/api/x"));
        assert!(options.lets_pass("", "http://h/zz"));
        assert!(!options.lets_pass("", "http://h/zzy"));
        assert!(glob(b"**a*b**", b"xaxxbxbx"));
        assert!(!glob(b"", b"x"));
    }
}
