//! An exchange that becomes an entry, and what every form of the entry says of it: HAR and table ask here.

use std::borrow::Cow;

use url::Url;

use super::entry::error;
use super::options::Options;
use super::sanitise::Sanitiser;
use super::target::{self, host};
use super::timings::Moments;
use crate::exchange::{Body, BodyEnd, Connection, Exchange, Outcome, Response};
use crate::http::Abort;
use crate::tls::TlsInfo;

/// Bodies up to this size are looked at whole: for form parameters, and for cleaning.
const WHOLE: usize = 4 << 20;

/// Why an exchange becomes no entry.
pub enum Omitted {
    /// The user's filters left it out.
    Filtered,
    /// It has no URL, and would have spoiled the file.
    Refused,
}

/// An exchange that passed the user's filters.
pub struct Subject<'a> {
    /// What it is about.
    pub exchange: &'a Exchange,
    /// Its connection.
    pub connection: &'a Connection,
    /// What the user chose.
    pub options: &'a Options,
    /// What is taken out.
    pub sanitiser: Sanitiser,
    /// The URL, clean.
    pub url: Url,
    /// The host as the client looked it up.
    pub host: String,
    /// When things happened.
    pub moments: Moments,
}

impl<'a> Subject<'a> {
    /// Looks at an exchange; `Err` says why it becomes no entry. What had to be bent is noted in it, at most `keep` times.
    pub fn new(
        exchange: &'a mut Exchange,
        connection: &'a Connection,
        options: &'a Options,
        keep: usize,
    ) -> Result<Self, Omitted> {
        let sanitiser = Sanitiser { level: options.sanitise, hide_addresses: options.hide_addresses };
        let Some(mut url) = target::of(exchange, connection) else {
            return Err(Omitted::Refused);
        };
        let host = host(&url).to_owned();
        if (options.only_selected && !exchange.selected) || !options.lets_pass(&host, url.as_str()) {
            return Err(Omitted::Filtered);
        }
        sanitiser.url(&mut url);
        let (moments, fault) = Moments::of(exchange, connection);
        if let Some(fault) = fault
            && exchange.anomalies.count(fault) == 0
        {
            exchange.anomalies.note(fault, Some(exchange.request.start), keep);
        }
        Ok(Self { exchange, connection, options, sanitiser, url, host, moments })
    }

    /// `request._error`: why the request is not whole, though it was answered.
    pub fn request_error(&self) -> Option<Cow<'static, str>> {
        match self.exchange.request.outcome {
            Outcome::Aborted(reason) if self.exchange.response.is_some() => Some(error(reason)),
            _ => None,
        }
    }

    /// `response._error`: why the response is not whole, or not there.
    pub fn response_error(&self) -> Option<Cow<'static, str>> {
        let aborted = |outcome: Outcome| match outcome {
            Outcome::Aborted(reason) => Some(error(reason)),
            Outcome::Complete => None,
        };
        match &self.exchange.response {
            Some(response) => aborted(response.outcome),
            None if self.connection.seen == [true, false] => Some("the server's packets are not in the capture".into()),
            None => {
                let known: Option<Abort> = self.exchange.unanswered.map(|(reason, _)| reason);
                let why = known.map(error).or_else(|| aborted(self.exchange.request.outcome));
                Some(why.unwrap_or("no response in the capture".into()))
            }
        }
    }

    /// True when the request has `postData`.
    pub fn has_post_data(&self) -> bool {
        let body = &self.exchange.request.body;
        self.exchange.upgrade.is_none() && (body.wire_size > 0 || body.size > 0 || body.has_gap)
    }

    /// `content.size`. What an upgraded connection carries stands in the messages, or is no content at all.
    pub fn content_size(&self, response: &Response) -> u64 {
        if self.exchange.upgrade.is_some() { 0 } else { response.body.size }
    }

    /// True when a response of this kind has no content, whatever its fields say
    /// ([RFC 9110 §6.4.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.4.1)).
    pub fn is_bare(&self, response: &Response) -> bool {
        let is_head = self.exchange.request.head.method == b"HEAD";
        is_head || matches!(response.head.status, 204 | 304) || self.exchange.upgrade.is_some()
    }

    /// True when `content` has a `text`, if that was kept.
    pub fn has_content(&self, response: &Response) -> bool {
        !self.is_bare(response) || self.content_size(response) > 0
    }

    /// `response.bodySize`.
    pub fn body_size(&self, response: &Response) -> u64 {
        if response.head.status == 304 { 0 } else { response.body.wire_size }
    }

    /// What is written in the place of a body, when its bytes must not be.
    pub fn clean(&self, body: &Body, content_type: &str) -> Option<String> {
        if body.size == 0 {
            return None;
        }
        let whole = is_whole(body).then_some(body.kept.tail.as_slice());
        self.sanitiser.body(content_type, whole)
    }

    /// `comment`: what people wrote to its frames.
    pub fn comment(&self) -> Option<String> {
        let comments = &self.exchange.comments;
        (!comments.is_empty() && !self.sanitiser.is_strict()).then(|| comments.join("\n"))
    }

    /// TLS of the layer that carried the exchange.
    pub fn tls(&self) -> Option<&'a TlsInfo> {
        self.connection.tls.as_ref().filter(|_| self.exchange.secure)
    }
}

/// True when all kept bytes of a body are at hand, and few enough to be looked at together.
pub fn is_whole(body: &Body) -> bool {
    body.kept.spooled.is_empty() && body.kept.tail.len() <= WHOLE
}

/// True when bytes of a body may be written; none were kept otherwise.
pub fn is_kept(body: &Body) -> bool {
    !(matches!(body.end, BodyEnd::Dropped | BodyEnd::TooLarge | BodyEnd::Bomb)
        && body.kept.tail.is_empty()
        && body.kept.spooled.is_empty())
}
