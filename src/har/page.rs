//! Pages: which entries belong together.

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;

use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};
use url::Url;

use super::json::Object;
use super::late::date_time;
use super::options::Options;

/// URLs and other marks that are remembered to find pages by.
const KNOWN: usize = 65_536;

/// Titles that are remembered, for pages that are cut and go on.
const TITLES: usize = 4096;

/// Pages that entries may still be put onto; each is known by one mark at least.
const PAGES: usize = KNOWN;

/// What kind of request it was, as far as pages are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The browser says that it navigated a window.
    Navigation,
    /// An HTML or XML document; nobody said whether a frame or a window asked for it.
    Document,
    /// The browser says that it belongs to a document.
    Part,
    /// Anything else.
    Other,
}

/// What pages need to know about an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Visit {
    /// Who asked; different clients never share a page.
    pub client: IpAddr,
    /// What for, as written to the entry.
    pub url: String,
    /// From where.
    pub referer: Option<String>,
    /// With which program.
    pub agent: String,
    /// What kind of request.
    pub kind: Kind,
    /// Where it was sent on to, when it was a document.
    pub redirect: Option<String>,
}

/// What a mark finds a page by.
#[derive(Debug, Clone, Copy, Hash)]
enum Mark {
    /// The URL of one of its entries, which others name as Referer.
    Url,
    /// The Referer of the entry that opened a page without a document.
    Referer,
    /// The last document that this program loaded.
    Latest,
    /// A URL that a document of the page was sent on to.
    Redirect,
}

#[derive(Debug)]
struct Page {
    start: i64,
    /// The last end of an entry.
    last: i64,
    /// The page that goes on where this one was cut.
    next: Option<u32>,
}

/// Puts entries, given in order of their start, onto pages, in bounded memory.
#[derive(Debug)]
pub struct Pages {
    is_on: bool,
    idle: i64,
    span: i64,
    /// The last pages.
    pages: VecDeque<Page>,
    /// Pages before them.
    forgotten: u32,
    titles: VecDeque<Option<Box<str>>>,
    known: HashMap<u64, u32, RandomState>,
    order: VecDeque<u64>,
    hasher: RandomState,
    untitled: String,
    /// The pages array so far, without brackets; may be taken away at any time.
    pub json: Vec<u8>,
}

impl Pages {
    /// No pages yet; `untitled` names pages without a document.
    pub fn new(options: &Options, untitled: String) -> Self {
        let micros = |nanos: u64| i64::try_from(nanos / 1000).unwrap_or(i64::MAX);
        Self::with(options.pages, micros(options.page_idle), micros(options.page_span), untitled)
    }

    /// The same, with times in microseconds.
    fn with(is_on: bool, idle: i64, span: i64, untitled: String) -> Self {
        Self {
            is_on,
            idle,
            span,
            pages: VecDeque::new(),
            forgotten: 0,
            titles: VecDeque::new(),
            known: HashMap::default(),
            order: VecDeque::new(),
            hasher: RandomState::default(),
            untitled,
            json: Vec::new(),
        }
    }

    /// Pages opened so far.
    pub fn len(&self) -> usize {
        self.forgotten as usize + self.pages.len()
    }

    fn page(&mut self, page: u32) -> Option<&mut Page> {
        self.pages.get_mut(page.checked_sub(self.forgotten)? as usize)
    }

    /// The page of an entry, and that page's start; times in microseconds.
    pub fn place(&mut self, visit: &Visit, start: i64, end: i64) -> (u32, i64) {
        let page = match self.find(visit) {
            Some(found) => self.current(found, start),
            None => self.open(visit, start),
        };
        if self.is_on {
            self.remember(Mark::Url, visit, &visit.url, page);
            if let Some(target) = &visit.redirect {
                self.remember(Mark::Redirect, visit, target, page);
            }
        }
        match self.page(page) {
            Some(known) => {
                known.last = known.last.max(end);
                (page, known.start)
            }
            None => (page, start),
        }
    }

    fn find(&self, visit: &Visit) -> Option<u32> {
        if !self.is_on {
            return (!self.pages.is_empty()).then_some(0);
        }
        let at = |mark, text: &str| {
            let page = self.known.get(&self.key(mark, visit, text)).copied()?;
            (page >= self.forgotten).then_some(page)
        };
        let referrer = || visit.referer.as_deref().and_then(|referer| at(Mark::Url, referer));
        match visit.kind {
            Kind::Navigation => at(Mark::Redirect, &visit.url),
            Kind::Document => referrer().or_else(|| at(Mark::Redirect, &visit.url)),
            Kind::Part => {
                referrer().or_else(|| at(Mark::Latest, "")).or_else(|| at(Mark::Referer, visit.referer_text()))
            }
            Kind::Other => referrer().or_else(|| at(Mark::Referer, visit.referer_text())),
        }
    }

    /// The page itself, or what it is continued by; cut when it was idle for long, or has become too long to draw.
    fn current(&mut self, found: u32, start: i64) -> u32 {
        let mut page = found;
        while let Some(next) = self.page(page).and_then(|known| known.next) {
            page = next;
        }
        // So that the next search is short.
        if page != found
            && let Some(known) = self.page(found)
        {
            known.next = Some(page);
        }
        let (is_on, idle, span) = (self.is_on, self.idle, self.span);
        let Some(known) = self.page(page) else { return page };
        let is_over = start.saturating_sub(known.last) > idle || start.saturating_sub(known.start) > span;
        if !is_on || !is_over {
            return page;
        }
        let forgotten = self.len() - self.titles.len();
        let title = (page as usize).checked_sub(forgotten).and_then(|at| self.titles.get(at).cloned()).flatten();
        let next = self.add(title, start);
        if let Some(known) = self.page(page) {
            known.next = Some(next);
        }
        next
    }

    fn open(&mut self, visit: &Visit, start: i64) -> u32 {
        let is_document = self.is_on && matches!(visit.kind, Kind::Navigation | Kind::Document);
        let page = self.add(is_document.then(|| visit.url.as_str().into()), start);
        if is_document {
            self.remember(Mark::Latest, visit, "", page);
            // Other origins are told no more than the origin of the document.
            if let Ok(url) = Url::parse(&visit.url) {
                self.remember(Mark::Url, visit, &format!("{}/", url.origin().ascii_serialization()), page);
            }
        } else if self.is_on {
            self.remember(Mark::Referer, visit, visit.referer_text(), page);
        }
        page
    }

    fn add(&mut self, title: Option<Box<str>>, start: i64) -> u32 {
        let page = self.len() as u32;
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        write(&mut self.json, page, title.as_deref().unwrap_or(&self.untitled), start);
        self.pages.push_back(Page { start, last: start, next: None });
        if self.pages.len() > PAGES {
            self.pages.pop_front();
            self.forgotten += 1;
        }
        self.titles.push_back(title);
        if self.titles.len() > TITLES {
            self.titles.pop_front();
        }
        page
    }

    fn key(&self, mark: Mark, visit: &Visit, text: &str) -> u64 {
        self.hasher.hash_one((mark, visit.client, visit.agent.as_str(), text))
    }

    fn remember(&mut self, mark: Mark, visit: &Visit, text: &str, page: u32) {
        let key = self.key(mark, visit, text);
        if self.known.insert(key, page).is_none() {
            self.order.push_back(key);
            if self.order.len() > KNOWN
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
    }
}

impl Visit {
    fn referer_text(&self) -> &str {
        self.referer.as_deref().unwrap_or_default()
    }
}

/// `id` of a page.
pub fn page_id(page: u32) -> String {
    ["page_", itoa::Buffer::new().format(page)].concat()
}

/// Writes one page; start in microseconds.
pub fn write(out: &mut Vec<u8>, page: u32, title: &str, start: i64) {
    let mut object = Object::open(out);
    object.string("startedDateTime", &date_time(start)).string("id", &page_id(page)).string("title", title);
    let mut timings = Object::open(object.key("pageTimings"));
    timings.plain("onContentLoad", -1).plain("onLoad", -1);
    timings.close();
    object.close();
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn visit(url: &'static str, referer: Option<&'static str>, kind: Kind) -> Visit {
        Visit {
            client: IpAddr::from([10, 0, 0, 1]),
            url: url.into(),
            referer: referer.map(Into::into),
            agent: "agent".into(),
            kind,
            redirect: None,
        }
    }

    fn pages() -> Pages {
        Pages::with(true, 300 * SECOND, 3600 * SECOND, "capture.pcap".into())
    }

    fn titles(pages: &Pages) -> Vec<String> {
        let list: serde_json::Value =
            serde_json::from_str(&format!("[{}]", String::from_utf8_lossy(&pages.json))).unwrap();
        list.as_array().unwrap().iter().map(|page| page["title"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn referers_lead_to_the_page_directly_or_through_an_entry() {
        let mut pages = pages();
        assert_eq!(pages.place(&visit("http://a/", None, Kind::Document), 0, 1).0, 0);
        assert_eq!(pages.place(&visit("http://b/x.css", Some("http://a/"), Kind::Other), 1, 2).0, 0);
        assert_eq!(pages.place(&visit("http://b/font", Some("http://b/x.css"), Kind::Other), 2, 3).0, 0);
        assert_eq!(pages.place(&visit("http://a/frame", Some("http://a/"), Kind::Document), 3, 4).0, 0);
        assert_eq!(pages.place(&visit("http://c/", None, Kind::Document), 4, 5).0, 1);
        let mut other_agent = visit("http://a/pic", Some("http://a/"), Kind::Other);
        other_agent.agent = "another".into();
        assert_eq!(pages.place(&other_agent, 5, 6).0, 2);
        let mut other_client = visit("http://a/pic", Some("http://a/"), Kind::Other);
        other_client.client = IpAddr::from([10, 0, 0, 2]);
        assert_eq!(pages.place(&other_client, 6, 7), (3, 6));
        assert_eq!(titles(&pages), ["http://a/", "http://c/", "capture.pcap", "capture.pcap"]);
    }

    #[test]
    fn without_a_document_the_same_referer_joins() {
        let mut pages = pages();
        assert_eq!(pages.place(&visit("http://a/1.png", Some("http://gone/"), Kind::Other), 0, 1).0, 0);
        assert_eq!(pages.place(&visit("http://a/2.png", Some("http://gone/"), Kind::Other), 1, 2).0, 0);
        assert_eq!(pages.place(&visit("http://a/3.png", Some("http://other/"), Kind::Other), 2, 3).0, 1);
        assert_eq!(pages.place(&visit("http://api/1", None, Kind::Other), 3, 4).0, 2);
        assert_eq!(pages.place(&visit("http://api/2", None, Kind::Other), 4, 5).0, 2);
    }

    #[test]
    fn navigations_open_pages_and_redirects_stay_on_them() {
        let mut pages = pages();
        let mut first = visit("https://a/", None, Kind::Navigation);
        first.redirect = Some("https://a/home".into());
        assert_eq!(pages.place(&first, 0, 1).0, 0);
        assert_eq!(pages.place(&visit("https://a/home", None, Kind::Navigation), 1, 2).0, 0);
        assert_eq!(pages.place(&visit("https://b/beacon", None, Kind::Part), 2, 3).0, 0);
        assert_eq!(pages.place(&visit("https://a/next", Some("https://a/home"), Kind::Navigation), 3, 4).0, 1);
        // Another origin is told the origin only: that of the latest document.
        assert_eq!(pages.place(&visit("https://cdn/x", Some("https://a/"), Kind::Part), 4, 5).0, 1);
    }

    #[test]
    fn pages_are_cut_when_idle_or_long() {
        let mut pages = pages();
        pages.place(&visit("http://a/", None, Kind::Document), 0, 1);
        let poll = visit("http://a/poll", Some("http://a/"), Kind::Other);
        assert_eq!(pages.place(&poll, 299 * SECOND, 299 * SECOND).0, 0);
        assert_eq!(pages.place(&poll, 600 * SECOND, 600 * SECOND), (1, 600 * SECOND));
        assert_eq!(pages.place(&poll, 601 * SECOND, 601 * SECOND).0, 1);
        let mut at = 601 * SECOND;
        while at < 601 * SECOND + 86_400 * SECOND {
            at += 30 * SECOND;
            let (_, start) = pages.place(&poll, at, at);
            assert!(at - start <= 3600 * SECOND);
        }
        assert!(titles(&pages).iter().all(|title| title == "http://a/"));
    }

    #[test]
    fn switched_off_there_is_one_page() {
        let mut pages = Pages::with(false, 0, 0, "capture.pcap".into());
        assert_eq!(pages.place(&visit("http://a/", None, Kind::Document), 7, 8), (0, 7));
        assert_eq!(pages.place(&visit("http://b/", None, Kind::Document), 70 * SECOND, 8), (0, 7));
        assert_eq!(titles(&pages), ["capture.pcap"]);
    }

    #[test]
    fn memory_stays_bounded() {
        let mut pages = pages();
        for n in 0..KNOWN as i64 + 5000 {
            let mut visit = visit("", None, Kind::Document);
            visit.url = format!("http://a/{n}");
            pages.place(&visit, n, n);
        }
        assert!(pages.known.len() <= KNOWN && pages.order.len() <= KNOWN && pages.titles.len() <= TITLES);
        assert!(pages.pages.len() <= PAGES && pages.len() == KNOWN + 5000);
    }
}
