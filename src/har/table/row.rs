//! An exchange as a row: what is known when it is over.

use std::borrow::Cow;
use std::io;

use arrow_buffer::Buffer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use url::Position;

use crate::base::Stored;
use crate::exchange::{Body, Response};
use crate::har::content::steps;
use crate::har::entry::{self, body_comment, resource_type};
use crate::har::facts;
use crate::har::headers::{Message, field_text, shown};
use crate::har::subject::{Subject, is_kept};
use crate::har::target;
use crate::http::{Headers, Version};

/// Bytes of content that a row takes: readers hold whole rows in memory, and so does the writer.
pub const CONTENT: u64 = 16 << 20;

/// What is written instead of larger content.
const TOO_LARGE: &str = "larger than a row of a table takes";

/// Names and values.
pub type Fields = Vec<(String, String)>;

/// A word out of a list of such.
type Word = Cow<'static, str>;

/// A row of the table, but for what the whole capture decides. The columns say what each member means.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Row {
    pub(super) method: String,
    pub(super) url: String,
    pub(super) scheme: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) http_version: Option<Word>,
    pub(super) request: Part,
    pub(super) response: Option<Answer>,
    pub(super) response_error: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) referer: Option<String>,
    pub(super) resource_type: Word,
    pub(super) request_bytes: u64,
    /// Nanoseconds.
    pub(super) rtt: Option<u64>,
    pub(super) decrypted: Word,
    pub(super) tls: Option<Tls>,
    pub(super) stream: Option<u64>,
    pub(super) messages: u64,
    pub(super) anomalies: Vec<Word>,
    pub(super) comment: Option<String>,
}

/// What request and response have alike.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub fields: Fields,
    pub head_size: u64,
    pub body_size: u64,
    /// Decoded content, when it was kept.
    pub content: Option<Content>,
    /// Why content is not there, or not all of it.
    pub comment: Option<String>,
    pub error: Option<String>,
}

/// The bytes of a body.
#[derive(Debug, Clone)]
pub(super) enum Content {
    Here(Buffer),
    /// In the spool.
    Away(Vec<Stored>),
    /// So many bytes behind the row, in its record.
    Behind(u64),
}

impl Content {
    /// The bytes, when they are in memory.
    pub(super) fn here(&self) -> Option<&Buffer> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Away(_) | Self::Behind(_) => None,
        }
    }

    fn len(&self) -> u64 {
        match self {
            Self::Here(bytes) => bytes.len() as u64,
            Self::Away(parts) => parts.iter().map(Stored::len).sum(),
            Self::Behind(len) => *len,
        }
    }

    fn pieces(&self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        match self {
            Self::Here(bytes) => each(bytes),
            Self::Away(parts) => steps(parts, |step| {
                each(step);
                io::Result::Ok(())
            })?,
            Self::Behind(_) => {}
        }
        Ok(())
    }

    fn loaded(&self) -> io::Result<Self> {
        let mut bytes = Vec::with_capacity(self.len() as usize);
        self.pieces(&mut |piece| bytes.extend_from_slice(piece))?;
        Ok(Self::Here(Buffer::from_vec(bytes)))
    }
}

/// In the record of a row stands how much it is.
impl Serialize for Content {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.len().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Self::Behind)
    }
}

/// A response.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    pub part: Part,
    pub status: u16,
    pub status_text: Option<String>,
    pub mime: Option<String>,
    pub redirect: Option<String>,
    pub content_size: u64,
    pub bytes: u64,
}

/// What is known of TLS.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Tls {
    pub version: Option<String>,
    pub cipher: Option<String>,
    pub cipher_suite: Option<u16>,
    pub group: Option<String>,
    pub alpn: Option<String>,
    pub sni: Option<String>,
    pub ja3: Option<String>,
    pub ja4: Option<String>,
    pub resumed: bool,
}

impl Row {
    /// The row of an exchange. Content that is in the spool stays there until the row is [loaded](Self::loaded).
    pub fn new(subject: &Subject<'_>) -> io::Result<Self> {
        let (exchange, connection) = (subject.exchange, subject.connection);
        let head = &exchange.request.head;
        let url = target::shown(&subject.url, head).into_owned();
        let path = url.get(subject.url[..Position::BeforePath].len()..).unwrap_or_default();
        let path = path.split('?').next().unwrap_or_default().to_owned();
        let request = request(subject)?;
        let field = |name: &str| {
            let found = request.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        Ok(Self {
            method: entry::method(&head.method),
            url,
            scheme: subject.url.scheme().to_owned(),
            host: subject.host.clone(),
            port: subject.url.port_or_known_default().unwrap_or(connection.server.port),
            path,
            http_version: exchange.response.as_ref().map(|_| entry::version(exchange).into()),
            user_agent: field("user-agent"),
            referer: field("referer"),
            request,
            response: exchange.response.as_ref().map(|response| answer(subject, response)).transpose()?,
            response_error: subject.response_error().map(Into::into),
            resource_type: resource_type(exchange).into(),
            request_bytes: exchange.request.wire_size,
            rtt: connection.rtt,
            decrypted: facts::decrypted(connection).into(),
            tls: subject.tls().map(|tls| Tls {
                version: tls.version.map(facts::tls_version),
                cipher: tls.cipher_suite.map(facts::cipher),
                cipher_suite: tls.cipher_suite,
                group: tls.group.clone(),
                alpn: tls.alpn.clone(),
                sni: tls.sni.clone(),
                ja3: tls.ja3.clone(),
                ja4: tls.ja4.clone(),
                resumed: tls.resumed,
            }),
            stream: matches!(head.version, Version::Http2 | Version::Http3).then_some(exchange.stream.0),
            messages: exchange.messages.len() as u64,
            anomalies: exchange.anomalies.sorted().into_iter().map(|seen| seen.kind.code().into()).collect(),
            comment: subject.comment(),
        })
    }

    fn contents(&self) -> impl Iterator<Item = &Content> {
        let response = self.response.as_ref().and_then(|answer| answer.part.content.as_ref());
        self.request.content.iter().chain(response)
    }

    fn contents_mut(&mut self) -> impl Iterator<Item = &mut Content> {
        let response = self.response.as_mut().and_then(|answer| answer.part.content.as_mut());
        self.request.content.iter_mut().chain(response)
    }

    /// The row with its content in memory.
    pub fn loaded(&self) -> io::Result<Cow<'_, Self>> {
        let mut row = Cow::Borrowed(self);
        if self.contents().any(|content| content.here().is_none()) {
            row.to_mut().contents_mut().try_for_each(|content| {
                *content = content.loaded()?;
                io::Result::Ok(())
            })?;
        }
        Ok(row)
    }

    /// Hands on its record, which [`read`](Self::read) understands: length of the row (4 bytes), this as JSON, and its content.
    pub fn record(&self, append: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let row = serde_json::to_vec(self)?;
        append(&(row.len() as u32).to_be_bytes());
        append(&row);
        self.contents().try_for_each(|content| content.pieces(append))
    }

    /// The row, with its content, whose record begins at `from`.
    pub fn read(stored: &Stored, from: u64) -> io::Result<Self> {
        let mut buffer = Vec::new();
        stored.read(from, 4, &mut buffer)?;
        let len = buffer.first_chunk().map(|&len| u64::from(u32::from_be_bytes(len)));
        let len = len.ok_or(io::ErrorKind::UnexpectedEof)?;
        stored.read(from + 4, len, &mut buffer)?;
        let mut row: Self = serde_json::from_slice(&buffer)?;
        let mut at = from + 4 + len;
        for content in row.contents_mut() {
            let (len, mut bytes) = (content.len(), Vec::new());
            stored.read(at, len, &mut bytes)?;
            *content = Content::Here(Buffer::from_vec(bytes));
            at += len;
        }
        Ok(row)
    }

    /// Bytes of memory that it holds, about.
    pub fn memory(&self) -> usize {
        let part = |part: &Part| {
            let fields: usize = part.fields.iter().map(|(name, value)| name.len() + value.len() + 48).sum();
            fields + part.content.as_ref().and_then(Content::here).map_or(0, Buffer::len)
        };
        let response = self.response.as_ref().map_or(0, |answer| part(&answer.part));
        size_of::<Self>() + 2 * self.url.len() + part(&self.request) + response
    }
}

fn fields(subject: &Subject<'_>, headers: &Headers, message: Message<'_>) -> Fields {
    shown(headers, message, &subject.sanitiser, subject.options.mitmproxy_safe)
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

fn request(subject: &Subject<'_>) -> io::Result<Part> {
    let request = &subject.exchange.request;
    let headers = &request.head.headers;
    let (content, comment) = match subject.has_post_data() {
        true => content(subject, &request.body, headers),
        false => (None, None),
    };
    Ok(Part {
        fields: fields(subject, headers, Message::Request),
        head_size: request.head.size,
        body_size: request.body.wire_size,
        content,
        comment,
        error: subject.request_error().map(Into::into),
    })
}

fn answer(subject: &Subject<'_>, response: &Response) -> io::Result<Answer> {
    let head = &response.head;
    let text = |name: &str| head.headers.first(name).map(field_text).filter(|text| !text.is_empty());
    let (content, comment) = match subject.has_content(response) {
        true => content(subject, &response.body, &head.headers),
        false => (None, body_comment(&response.body).filter(|_| subject.exchange.upgrade.is_none())),
    };
    let part = Part {
        fields: fields(subject, &head.headers, Message::Response(Some(&response.body.end))),
        head_size: head.size,
        body_size: subject.body_size(response),
        content,
        comment,
        error: None,
    };
    Ok(Answer {
        part,
        status: head.status,
        status_text: Some(field_text(&head.reason).into_owned()).filter(|text| !text.is_empty()),
        mime: text("content-type").map(Into::into),
        redirect: text("location").map(|location| subject.sanitiser.url_text(&location).into_owned()),
        content_size: subject.content_size(response),
        bytes: response.wire_size,
    })
}

/// The bytes of a body, and why they are not there or not all.
fn content(subject: &Subject<'_>, body: &Body, headers: &Headers) -> (Option<Content>, Option<String>) {
    let comment = body_comment(body);
    if !is_kept(body) {
        return (None, comment);
    }
    let content_type = headers.first("content-type").map(field_text).unwrap_or_default();
    if let Some(clean) = subject.clean(body, &content_type) {
        return (Some(Content::Here(Buffer::from_vec(clean.into_bytes()))), comment);
    }
    let kept = &body.kept;
    if kept.spooled.is_empty() {
        return (Some(Content::Here(Buffer::from_vec(kept.tail.clone()))), comment);
    }
    match kept.spooled.iter().map(Stored::len).sum::<u64>() <= CONTENT {
        true => (Some(Content::Away(kept.spooled.clone())), comment),
        false => (None, Some(TOO_LARGE.into())),
    }
}
