//! A field section of HTTP/2 or HTTP/3 becomes the head of a message
//! ([RFC 9113 §8.3](https://www.rfc-editor.org/rfc/rfc9113#section-8.3), [RFC 9114 §4.3](https://www.rfc-editor.org/rfc/rfc9114#section-4.3)).

use super::table::Field;
use super::{Headers, RequestHead, ResponseHead, StreamPriority, Version};
use crate::base::anomaly::AnomalyKind;
use crate::base::{Limits, Span};
use std::ops::ControlFlow;

/// Stands for a method that was lost. A lost target is left empty, a lost status 0.
pub const UNKNOWN_METHOD: &[u8] = b"UNKNOWN";

/// What one section may cost.
#[derive(Debug, Clone, Copy)]
pub struct SectionLimits {
    bytes: usize,
    fields: usize,
}

impl From<&Limits> for SectionLimits {
    fn from(limits: &Limits) -> Self {
        Self { bytes: limits.head, fields: limits.header_fields }
    }
}

/// What was wrong with a section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// A rule of HTTP was broken.
    pub is_malformed: bool,
    /// There was more than is kept.
    pub is_cut: bool,
    /// Some fields are not known, and left out.
    pub has_unknown: bool,
    /// Some fields are known only as far as lost state was recovered rightly.
    pub is_recovered: bool,
}

impl Faults {
    /// The anomalies these are.
    pub fn kinds(self) -> impl Iterator<Item = AnomalyKind> {
        [
            (self.is_malformed, AnomalyKind::HeadMalformed),
            (self.is_cut, AnomalyKind::HeadTooLarge),
            (self.has_unknown, AnomalyKind::HeaderStateLost),
            (self.is_recovered, AnomalyKind::HeaderStateRecovered),
        ]
        .into_iter()
        .filter_map(|(is_so, kind)| is_so.then_some(kind))
    }
}

/// Fields of one section, as they come from the decoder.
#[derive(Debug, Default)]
pub struct Section {
    method: Option<Vec<u8>>,
    target: Option<Vec<u8>>,
    scheme: Option<Vec<u8>>,
    authority: Option<Vec<u8>>,
    protocol: Option<Vec<u8>>,
    status: Option<u16>,
    headers: Headers,
    has_pseudo: bool,
    /// A field came before all that are no pseudo fields, and its name is not known.
    may_have_pseudo: bool,
    /// Octets by the measure of SETTINGS_MAX_HEADER_LIST_SIZE.
    size: usize,
    limit: usize,
    fields: usize,
    /// A rule of HTTP was broken: the head is [`HeadMalformed`](crate::base::anomaly::AnomalyKind::HeadMalformed).
    pub is_malformed: bool,
    /// There was more than is kept.
    pub is_cut: bool,
    /// Some fields are not known, and left out.
    pub has_unknown: bool,
    /// Some fields are known only as far as lost state was recovered rightly.
    pub is_recovered: bool,
}

/// Authorities that are remembered of a connection, and octets of each.
const AUTHORITIES: usize = 8;
const AUTHORITY_LEN: usize = 300;

/// The authorities that the requests of a connection named.
#[derive(Debug, Default)]
pub struct Authorities {
    named: Vec<Vec<u8>>,
    /// True when there are others.
    has_more: bool,
}

impl Authorities {
    /// All of them; none when they are not all known, or requests go without.
    pub fn all(&self) -> &[Vec<u8>] {
        if self.has_more { &[] } else { &self.named }
    }

    /// Takes note of a request's authority. Where that is lost, it is the one that all earlier requests named.
    pub fn complete(&mut self, section: &mut Section) {
        match &section.authority {
            Some(_) if section.is_recovered || section.is_malformed => {}
            Some(authority) if self.named.contains(authority) => {}
            Some(authority) if self.named.len() < AUTHORITIES && authority.len() <= AUTHORITY_LEN => {
                self.named.push(authority.clone());
            }
            Some(_) => self.has_more = true,
            None if !section.has_unknown => self.has_more = true,
            None => {
                if let [only] = self.all()
                    && section.headers.first("host").is_none()
                {
                    section.authority = Some(only.clone());
                }
            }
        }
    }
}

impl Section {
    /// An empty section.
    pub fn new(limits: &SectionLimits) -> Self {
        Self { limit: limits.bytes, fields: limits.fields, ..Self::default() }
    }

    /// Takes one field; breaks off when the limits are reached.
    pub fn push(&mut self, field: Field<'_>) -> ControlFlow<()> {
        let (name, value) = match field {
            Field { name: Some(name), value: Some(value) } => (name, value),
            Field { name: Some(name), value: None } => {
                self.has_unknown = true;
                self.has_pseudo |= name.starts_with(b":");
                return ControlFlow::Continue(());
            }
            _ => {
                self.has_unknown = true;
                self.may_have_pseudo |= self.headers.is_empty();
                return ControlFlow::Continue(());
            }
        };
        // RFC 9113 §6.5.2: names and values, and 32 for each field.
        self.size = self.size.saturating_add(name.len() + value.len() + 32);
        if self.size > self.limit || self.headers.len() >= self.fields {
            self.is_cut = true;
            return ControlFlow::Break(());
        }
        if let Some(pseudo) = name.strip_prefix(b":") {
            self.pseudo(pseudo, value);
            return ControlFlow::Continue(());
        }
        let is_token = |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase();
        if name.is_empty() || !name.iter().all(is_token) || memchr::memchr3(0, b'\r', b'\n', value).is_some() {
            self.is_malformed = true;
        }
        self.headers.push(name, value);
        ControlFlow::Continue(())
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        self.has_pseudo = true;
        let place = match name {
            b"method" => &mut self.method,
            b"path" => &mut self.target,
            b"scheme" => &mut self.scheme,
            b"authority" => &mut self.authority,
            b"protocol" => &mut self.protocol,
            b"status" => {
                let status = match *value {
                    [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
                        Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
                    }
                    _ => None,
                };
                self.is_malformed |= status.is_none() || self.status.is_some() || !self.headers.is_empty();
                self.status = self.status.or(status);
                return;
            }
            _ => {
                self.is_malformed = true;
                return;
            }
        };
        // One of each, and before the other fields.
        self.is_malformed |= place.is_some() || !self.headers.is_empty();
        if place.is_none() {
            *place = Some(value.to_vec());
        }
    }

    /// True when there is a pseudo field that only requests have.
    pub fn is_request(&self) -> bool {
        self.method.is_some() || self.target.is_some() || self.scheme.is_some() || self.authority.is_some()
    }

    /// The status, when this is a response.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    /// True when there is no pseudo field, and none that is not known: trailers.
    pub fn is_trailers(&self) -> bool {
        !self.has_pseudo && !self.may_have_pseudo
    }

    /// True for trailers, and for heads of messages that end with some: those of gRPC.
    pub fn ends_in_trailers(&self) -> bool {
        let is_grpc = || self.headers.first("content-type").is_some_and(|value| value.starts_with(b"application/grpc"));
        self.is_trailers() && !self.headers.is_empty() || self.status == Some(200) && is_grpc()
    }

    /// The head of a request. `span` and `size`: see [`RequestHead`].
    pub fn into_request(
        mut self,
        version: Version,
        span: Span,
        size: u64,
        priority: Option<StreamPriority>,
    ) -> (Box<RequestHead>, Faults) {
        let is_connect = self.method.as_deref() == Some(b"CONNECT");
        let is_plain_connect = is_connect && self.protocol.is_none();
        let is_complete = self.method.is_some()
            && if is_plain_connect {
                self.authority.is_some()
            } else {
                self.scheme.is_some() && self.target.as_ref().is_some_and(|target| !target.is_empty())
            };
        self.is_malformed |= self.status.is_some() || !is_complete && !self.has_unknown && !self.is_cut;
        let faults = self.faults();
        let head = RequestHead {
            method: self.method.unwrap_or_else(|| UNKNOWN_METHOD.to_vec()),
            target: self.target.unwrap_or_default(),
            version,
            scheme: self.scheme,
            authority: self.authority,
            protocol: self.protocol,
            headers: self.headers,
            span,
            size,
            priority,
        };
        (Box::new(head), faults)
    }

    /// The head of a response.
    pub fn into_response(mut self, version: Version, span: Span, size: u64) -> (Box<ResponseHead>, Faults) {
        self.is_malformed |=
            self.is_request() || self.protocol.is_some() || self.status.is_none() && !self.has_unknown && !self.is_cut;
        let faults = self.faults();
        let status = self.status.unwrap_or(0);
        (Box::new(ResponseHead { status, reason: Vec::new(), version, headers: self.headers, span, size }), faults)
    }

    /// Trailer fields.
    pub fn into_trailers(mut self) -> (Headers, Faults) {
        self.is_malformed |= self.has_pseudo;
        let faults = self.faults();
        (self.headers, faults)
    }

    /// Allocated bytes.
    pub fn allocated(&self) -> usize {
        let pseudo = [&self.method, &self.target, &self.scheme, &self.authority, &self.protocol];
        self.headers.allocated() + pseudo.into_iter().flatten().map(Vec::capacity).sum::<usize>()
    }

    fn faults(&self) -> Faults {
        Faults {
            is_malformed: self.is_malformed,
            is_cut: self.is_cut,
            has_unknown: self.has_unknown,
            is_recovered: self.is_recovered,
        }
    }
}
