//! User-Agent fields: counted, and read for `log.browser`.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Different values that are counted; a capture with more comes from a machine that makes them up.
const MOST: usize = 1024;

/// How often each User-Agent value was seen.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    counts: HashMap<String, u64, RandomState>,
}

impl Agents {
    /// Counts one value.
    pub fn count(&mut self, agent: &str) {
        if let Some(count) = self.counts.get_mut(agent) {
            *count += 1;
        } else if self.counts.len() < MOST {
            self.counts.insert(agent.to_owned(), 1);
        }
    }

    /// Adds what another count holds.
    pub fn merge(&mut self, other: Agents) {
        for (agent, count) in other.counts {
            if let Some(known) = self.counts.get_mut(&agent) {
                *known += count;
            } else if self.counts.len() < MOST {
                self.counts.insert(agent, count);
            }
        }
    }

    /// Values and counts, the most used first.
    pub fn ranked(self) -> Vec<(String, u64)> {
        let mut all: Vec<_> = self.counts.into_iter().collect();
        all.sort_by(|(a, a_count), (b, b_count)| b_count.cmp(a_count).then_with(|| a.cmp(b)));
        all
    }
}

/// Browsers name others first, for the sake of old servers: the most telling token comes first here.
const BROWSERS: &[(&str, &str)] = &[
    ("Edg", "Edge"),
    ("EdgA", "Edge"),
    ("EdgiOS", "Edge"),
    ("OPR", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex Browser"),
    ("FxiOS", "Firefox"),
    ("Firefox", "Firefox"),
    ("CriOS", "Chrome"),
    ("HeadlessChrome", "Chrome"),
    ("Chrome", "Chrome"),
    ("Chromium", "Chromium"),
];

/// Name and version of the program that a User-Agent value speaks of (RFC 9110 §10.1.5).
pub fn browser(agent: &str) -> Option<(String, String)> {
    let mut products = Vec::new();
    // Comments in parentheses name platforms and ancestors.
    let mut depth = 0usize;
    for part in agent.split_inclusive(['(', ')', ' ']) {
        if depth == 0 {
            let token = part.trim_end_matches(['(', ')', ' ']);
            if !token.is_empty() {
                products.push(token.split_once('/').unwrap_or((token, "")));
            }
        }
        match part.as_bytes().last() {
            Some(b'(') => depth += 1,
            Some(b')') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    let version_of = |name: &str| products.iter().find(|(product, _)| *product == name).map(|(_, version)| *version);
    for (token, name) in BROWSERS {
        if let Some(version) = version_of(token) {
            return Some(((*name).into(), version.into()));
        }
    }
    if version_of("Safari").is_some()
        && let Some(version) = version_of("Version")
    {
        return Some(("Safari".into(), version.into()));
    }
    products.first().map(|(name, version)| ((*name).into(), (*version).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_token_names_the_browser() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36";
        let cases = [
            (chrome, "Chrome", "156.0.0.0"),
            (&chrome.replace("Headless", "").replace("537.36 ", "537.36 Edg/140.1 "), "Edge", "140.1"),
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox", "140.0"),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
                "Safari",
                "18.1",
            ),
            ("curl/8.14.1", "curl", "8.14.1"),
            ("python-requests/2.32 (x (y) z) CPython", "python-requests", "2.32"),
            ("odd", "odd", ""),
        ];
        for (agent, name, version) in cases {
            assert_eq!(browser(agent), Some((name.into(), version.into())), "{agent}");
        }
        assert_eq!(browser(" (only comment"), None);
    }

    #[test]
    fn the_most_used_agent_leads() {
        let mut agents = Agents::default();
        for agent in ["b", "a", "b", "c"] {
            agents.count(agent);
        }
        for n in 0..5000 {
            agents.count(&format!("made up {n}"));
        }
        let ranked = agents.ranked();
        assert_eq!(ranked[0], ("b".into(), 2));
        assert_eq!(ranked.len(), MOST);
    }
}
