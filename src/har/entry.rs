//! One exchange as the members of a HAR entry.

use std::borrow::Cow;
use std::io;

use url::Url;

use super::content::{self, Form, Nature};
use super::cookies;
use super::draft::{Draft, Text};
use super::facts;
use super::form;
use super::headers::{Message, field_text, headers};
use super::json::{Object, array, epoch_seconds};
use super::late::Late;
use super::messages::{is_grpc, messages};
use super::page::{Kind, Visit};
use super::sanitise::Sanitiser;
use super::subject::{Subject, is_kept, is_whole};
use super::target;
use crate::exchange::{Body, BodyEnd, Connection, Exchange, Outcome, Response, TransportFacts};
use crate::http::{Abort, Headers, Upgrade, Version};

/// Makes the members of an entry that do not depend on the whole capture.
pub fn make(subject: &Subject<'_>) -> io::Result<Text> {
    let mut draft = Draft::new();
    subject.request(&mut draft)?;
    subject.response(&mut draft)?;
    subject.rest(&mut draft);
    Ok(draft.finish())
}

/// `httpVersion`: Chrome's words, which most readers know; the lesser version when the two sides differ.
pub fn version(exchange: &Exchange) -> &'static str {
    let asked = exchange.request.head.version;
    let Some(response) = &exchange.response else { return "unknown" };
    let answered = response.head.version;
    // An answer in a higher version than HTTP/1.1 came through an upgrade.
    let is_upgraded = rank(answered) > rank(Version::Http11);
    let version = if is_upgraded || rank(answered) < rank(asked) { answered } else { asked };
    match version {
        Version::Http09 => "HTTP/0.9",
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "http/2.0",
        Version::Http3 => "h3",
    }
}

impl Subject<'_> {
    fn version(&self) -> &'static str {
        version(self.exchange)
    }

    fn fields(&self, out: &mut Vec<u8>, fields: &Headers, message: Message<'_>) {
        headers(out, fields, message, &self.sanitiser, self.options.mitmproxy_safe);
    }

    fn request(&self, draft: &mut Draft) -> io::Result<()> {
        let request = &self.exchange.request;
        let head = &request.head;
        draft.text.extend_from_slice(b"\"request\":");
        let mut object = Object::open(&mut draft.text);
        object.string("method", &method_text(&head.method));
        object.string("url", &target::shown(&self.url, head));
        object.string("httpVersion", self.version());
        self.fields(object.key("headers"), &head.headers, Message::Request);
        let query = url::form_urlencoded::parse(self.url.query().unwrap_or_default().as_bytes());
        // The URL was cleaned already: what stands in its query may be shown.
        form::pairs(object.key("queryString"), query, &Sanitiser::default());
        let out = object.key("cookies");
        if self.sanitiser.is_on() {
            out.extend_from_slice(b"[]");
        } else {
            cookies::request_cookies(out, &head.headers);
        }
        object.plain("headersSize", head.size).plain("bodySize", request.body.wire_size);
        if let Some(error) = self.request_error() {
            object.string("_error", &error);
        }
        self.pseudo_fields(&mut object);
        if !request.trailers.is_empty() {
            self.fields(object.key("_trailers"), &request.trailers, Message::Request);
        }
        let body = &request.body;
        if self.has_post_data() {
            object.key("postData");
            self.post_data(draft, body)?;
        }
        draft.text.push(b'}');
        Ok(())
    }

    fn pseudo_fields(&self, object: &mut Object<'_>) {
        let head = &self.exchange.request.head;
        if !self.options.pseudo_headers || !matches!(head.version, Version::Http2 | Version::Http3) {
            return;
        }
        let mut fields = Headers::default();
        fields.push(b"_method", &head.method);
        for (name, value) in [("_authority", &head.authority), ("_scheme", &head.scheme), ("_protocol", &head.protocol)]
        {
            if let Some(value) = value {
                fields.push(name.as_bytes(), value);
            }
        }
        fields.push(b"_path", &head.target);
        array(object.key("_pseudoHeaders"), fields.iter(), |out, (name, value)| {
            let mut field = Object::open(out);
            let value = field_text(value);
            field.string("name", &field_text(name).replacen('_', ":", 1)).string("value", &self.sanitiser.text(&value));
            field.close();
        });
    }

    fn post_data(&self, draft: &mut Draft, body: &Body) -> io::Result<()> {
        let request = &self.exchange.request;
        let content_type = request.head.headers.first("content-type").map(field_text).unwrap_or_default();
        let mut object = Object::open(&mut draft.text);
        object.string("mimeType", if content_type.is_empty() { "application/octet-stream" } else { &content_type });
        let params = object.key("params");
        match form::kind(&content_type).filter(|_| is_whole(body)) {
            Some(kind) => form::params(params, &kind, &body.kept.tail, &self.sanitiser),
            None => params.extend_from_slice(b"[]"),
        }
        if let Some(comment) = body_comment(body) {
            object.string("comment", &comment);
        }
        // Always there: readers fail on postData without text.
        if !self.text(draft, body, &content_type)? {
            Object::resume(&mut draft.text).string("text", "");
        }
        draft.text.push(b'}');
        Ok(())
    }

    /// Writes `text` and `encoding`, unless the body was not kept.
    fn text(&self, draft: &mut Draft, body: &Body, content_type: &str) -> io::Result<bool> {
        if !is_kept(body) {
            return Ok(false);
        }
        let tail = &body.kept.tail;
        if let Some(clean) = self.clean(body, content_type) {
            Object::resume(&mut draft.text).key("text");
            draft.string(&clean);
            return Ok(true);
        }
        let form = self.form(body, content::nature(&body.kept)?, content_type)?;
        let mut object = Object::resume(&mut draft.text);
        if form == Form::Base64 {
            object.string("encoding", "base64");
        }
        object.key("text");
        if body.kept.spooled.is_empty() {
            draft.inside(form, tail);
        } else {
            draft.body(form, &body.kept.spooled);
        }
        Ok(true)
    }

    fn form(&self, body: &Body, nature: Nature, content_type: &str) -> io::Result<Form> {
        if !self.options.decode_text {
            return Ok(content::exact_form(nature, content_type));
        }
        let mut start = Vec::new();
        match body.kept.spooled.first() {
            Some(first) => first.read(0, 1024, &mut start)?,
            None => start.extend_from_slice(body.kept.tail.get(..1024).unwrap_or(&body.kept.tail)),
        }
        Ok(content::readable_form(nature, content_type, &start))
    }

    fn response(&self, draft: &mut Draft) -> io::Result<()> {
        draft.text.extend_from_slice(b",\"response\":");
        match &self.exchange.response {
            Some(response) => self.answer(draft, response)?,
            None => self.no_answer(draft),
        }
        self.informational(draft);
        draft.text.push(b'}');
        Ok(())
    }

    fn no_answer(&self, draft: &mut Draft) {
        let mut object = Object::open(&mut draft.text);
        object.plain("status", 0).string("statusText", "").string("httpVersion", "unknown");
        object.plain("headers", "[]").plain("cookies", "[]");
        let mut content = Object::open(object.key("content"));
        content.plain("size", 0).string("mimeType", "x-unknown");
        content.close();
        object.string("redirectURL", "").plain("headersSize", -1).plain("bodySize", -1).plain("_transferSize", 0);
        object.string("_error", &self.response_error().unwrap_or_default());
    }

    fn answer(&self, draft: &mut Draft, response: &Response) -> io::Result<()> {
        let head = &response.head;
        let body = &response.body;
        let mut object = Object::open(&mut draft.text);
        object
            .plain("status", head.status)
            .string("statusText", &field_text(&head.reason))
            .string("httpVersion", self.version());
        self.fields(object.key("headers"), &head.headers, Message::Response(Some(&body.end)));
        let out = object.key("cookies");
        if self.sanitiser.is_on() {
            out.extend_from_slice(b"[]");
        } else {
            cookies::response_cookies(out, &head.headers, response.start.time);
        }
        let location = head.headers.first("location").map(field_text).unwrap_or_default();
        object.string("redirectURL", &self.sanitiser.url_text(&location));
        object.plain("headersSize", head.size).plain("bodySize", self.body_size(response));
        object.plain("_transferSize", response.wire_size);
        if let Some(error) = self.response_error() {
            object.string("_error", &error);
        }
        if !response.trailers.is_empty() {
            self.fields(object.key("_trailers"), &response.trailers, Message::Response(None));
        }
        object.key("content");
        self.content(draft, response)
    }

    fn content(&self, draft: &mut Draft, response: &Response) -> io::Result<()> {
        let (head, body) = (&response.head, &response.body);
        let content_type = head.headers.first("content-type").map(field_text).unwrap_or_default();
        let is_upgraded = self.exchange.upgrade.is_some();
        let size = self.content_size(response);
        let mut object = Object::open(&mut draft.text);
        object.plain("size", size);
        object.string("mimeType", if content_type.is_empty() { "x-unknown" } else { &content_type });
        let is_complete = !body.has_gap
            && body.lost == 0
            && matches!(body.end, BodyEnd::Whole | BodyEnd::Dropped | BodyEnd::TooLarge);
        if is_complete && !self.is_bare(response) && head.status != 206 && response.outcome == Outcome::Complete {
            object.plain("compression", i128::from(size) - i128::from(body.wire_size));
        }
        if body.has_gap || body.lost > 0 {
            object.plain("_truncated", true);
        }
        if !is_upgraded && let Some(comment) = body_comment(body) {
            object.string("comment", &comment);
        }
        if self.has_content(response) {
            self.text(draft, body, &content_type)?;
        }
        draft.text.push(b'}');
        Ok(())
    }

    fn informational(&self, draft: &mut Draft) {
        if self.exchange.informational.is_empty() {
            return;
        }
        let mut object = Object::resume(&mut draft.text);
        array(object.key("_informational"), &self.exchange.informational, |out, response| {
            let mut item = Object::open(out);
            item.plain("status", response.status);
            self.fields(item.key("headers"), &response.headers, Message::Response(None));
            epoch_seconds(item.key("time"), response.stamp.time);
            item.close();
        });
    }

    fn rest(&self, draft: &mut Draft) {
        let (exchange, connection) = (self.exchange, self.connection);
        let mut object = Object::resume(&mut draft.text);
        object.plain("cache", "{}");
        object.shown("serverIPAddress", self.sanitiser.address(connection.server.address));
        object.quoted("connection", connection.server.port).quoted("_connectionId", connection.id.0.0);
        object.plain("_serverPort", connection.server.port);
        if !self.sanitiser.hide_addresses {
            object.plain("_client_port", connection.client.port);
        }
        object.string("_resourceType", resource_type(exchange));
        object.plain("_bytesIn", exchange.response.as_ref().map_or(0, |response| response.wire_size));
        object.plain("_bytesOut", exchange.request.wire_size);
        if let Some(rtt) = connection.rtt {
            object.millis("_server_rtt", i64::try_from(rtt / 1000).unwrap_or(i64::MAX));
        }
        object.string("_decrypted", facts::decrypted(connection));
        if let Some(tls) = self.tls() {
            facts::tls(&mut object, tls);
        }
        self.protocol_facts(&mut object);
        facts::loss(&mut object, connection);
        facts::anomalies(&mut object, &exchange.anomalies);
        if let Some(comment) = self.comment() {
            object.string("comment", &comment);
        }
        messages(draft, exchange, &self.sanitiser);
    }

    fn protocol_facts(&self, object: &mut Object<'_>) {
        let exchange = self.exchange;
        match exchange.request.head.version {
            Version::Http2 => {
                object.plain("_http2_stream_id", exchange.stream.0);
                if let Some(priority) = exchange.request.head.priority {
                    object.plain("_http2_stream_weight", priority.weight);
                    object.plain("_http2_stream_dependency", priority.dependency);
                    object.plain("_http2_stream_exclusive", u8::from(priority.exclusive));
                }
            }
            Version::Http3 => {
                object.plain("_http3_stream_id", exchange.stream.0);
            }
            Version::Http09 | Version::Http10 | Version::Http11 => {}
        }
        if exchange.pushed_on.is_some() {
            object.plain("_was_pushed", 1);
        }
        if let TransportFacts::Quic(quic) = &self.connection.transport {
            object.string("_quic_version", &format!("{:#010x}", quic.version));
        }
    }

    /// What waits for the whole capture.
    pub fn late(&self) -> Late {
        let (exchange, connection) = (self.exchange, self.connection);
        let response = exchange.response.as_ref();
        Late {
            moments: self.moments,
            arrivals: exchange.arrivals.iter().map(|(stamp, bytes)| (stamp.time.0, *bytes)).collect(),
            connection: connection.id.0.0,
            number: exchange.number,
            host: self.moments.connect.is_some().then(|| self.host.clone()),
            client: (connection.client.address, connection.client.port),
            server: (connection.server.address, connection.server.port),
            request_frames: (exchange.request.start.frame.0, exchange.request.end.frame.0),
            response_frames: response.map(|response| (response.start.frame.0, response.end.frame.0)),
            visit: visit(exchange, connection, &self.url, &self.sanitiser),
        }
    }
}

fn rank(version: Version) -> u8 {
    match version {
        Version::Http09 => 0,
        Version::Http10 => 1,
        Version::Http11 => 2,
        Version::Http2 => 3,
        Version::Http3 => 4,
    }
}

/// What pages need to know of an exchange.
pub fn visit(exchange: &Exchange, connection: &Connection, url: &Url, sanitiser: &Sanitiser) -> Visit {
    let fields = &exchange.request.head.headers;
    let response = exchange.response.as_ref();
    let referer = fields.first("referer").map(field_text).and_then(|referer| {
        if !sanitiser.is_strict() && target::is_canonical(&referer) {
            return Some(referer.into_owned());
        }
        let mut url = Url::parse(&referer).ok()?;
        url.set_fragment(None);
        sanitiser.url(&mut url);
        Some(url.into())
    });
    let kind = page_kind(fields, response);
    let redirect =
        response.filter(|response| matches!(response.head.status, 301 | 302 | 303 | 307 | 308)).and_then(|response| {
            let location = field_text(response.head.headers.first("location")?);
            let mut url = url.join(&location).ok()?;
            url.set_fragment(None);
            sanitiser.url(&mut url);
            Some(url.into())
        });
    Visit {
        client: connection.client.address,
        url: url.as_str().into(),
        referer,
        agent: fields.first("user-agent").map(field_text).unwrap_or_default().into_owned(),
        kind,
        redirect,
    }
}

/// `request.method`.
pub fn method(bytes: &[u8]) -> String {
    method_text(bytes).into_owned()
}

fn method_text(bytes: &[u8]) -> Cow<'_, str> {
    let method = field_text(bytes);
    match method.as_bytes() {
        [] => "GET".into(),
        bytes if bytes.iter().all(u8::is_ascii_uppercase) => method,
        _ => method.to_uppercase().into(),
    }
}

/// Whether a request opens a page: by what browsers say ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)), else by Accept and
/// what came.
fn page_kind(fields: &Headers, response: Option<&Response>) -> Kind {
    let is =
        |name: &str, token: &str| fields.first(name).is_some_and(|value| value.eq_ignore_ascii_case(token.as_bytes()));
    if fields.first("sec-fetch-mode").is_some() {
        let is_navigation = is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document");
        return if is_navigation { Kind::Navigation } else { Kind::Part };
    }
    let accept = fields.first("accept").map(field_text).unwrap_or_default();
    if form::essence(accept.split(',').next().unwrap_or_default()).eq_ignore_ascii_case("text/html") {
        return Kind::Document;
    }
    let content_type =
        response.and_then(|response| response.head.headers.first("content-type")).map(field_text).unwrap_or_default();
    let essence = form::essence(&content_type);
    let is_document = ["text/html", "application/xhtml+xml", "text/xml", "application/xml"]
        .iter()
        .any(|document| essence.eq_ignore_ascii_case(document));
    if is_document { Kind::Document } else { Kind::Other }
}

/// Chrome's name for what was fetched: by what the request says, else by the type of what came.
pub fn resource_type(exchange: &Exchange) -> &'static str {
    let fields = &exchange.request.head.headers;
    let has = |name: &str| fields.first(name).is_some();
    if exchange.upgrade == Some(Upgrade::WebSocket) {
        return "websocket";
    }
    if exchange.request.head.method == b"OPTIONS" && has("access-control-request-method") {
        return "preflight";
    }
    if has("ping-to") {
        return "ping";
    }
    let is_xhr = fields.has_token("x-requested-with", "XMLHttpRequest");
    if fields.first("accept").is_some_and(|accept| accept.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")) {
        return "eventsource";
    }
    let destination = fields.first("sec-fetch-dest").map(|value| value.trim_ascii().to_ascii_lowercase());
    match destination.as_deref() {
        Some(b"document" | b"iframe" | b"frame" | b"fencedframe") => return "document",
        Some(b"style" | b"xslt") => return "stylesheet",
        Some(b"script" | b"worker" | b"sharedworker" | b"serviceworker" | b"audioworklet" | b"paintworklet") => {
            return "script";
        }
        Some(b"image") => return "image",
        Some(b"font") => return "font",
        Some(b"audio" | b"video" | b"track") => return "media",
        Some(b"manifest") => return "manifest",
        Some(b"report") => return "ping",
        Some(b"empty") => return if is_xhr { "xhr" } else { "fetch" },
        _ => {}
    }
    let Some(response) = &exchange.response else { return if is_xhr { "xhr" } else { "other" } };
    let content_type = response.head.headers.first("content-type").map(field_text).unwrap_or_default();
    let essence = form::essence(&content_type).to_ascii_lowercase();
    match essence.split_once('/').unwrap_or_default() {
        _ if is_xhr => "xhr",
        ("text", "html") | ("application", "xhtml+xml") => "document",
        ("text", "css") => "stylesheet",
        ("text" | "application", sub) if sub.ends_with("javascript") || sub.ends_with("ecmascript") => "script",
        ("text", "event-stream") => "eventsource",
        ("image", _) => "image",
        ("font", _) => "font",
        ("application", sub)
            if sub.starts_with("font-") || sub.starts_with("x-font-") || sub == "vnd.ms-fontobject" =>
        {
            "font"
        }
        ("audio" | "video", _) => "media",
        ("application", "manifest+json") => "manifest",
        ("application", sub) if sub == "json" || sub.ends_with("+json") || is_grpc(&response.head.headers) => "fetch",
        _ => "other",
    }
}

/// Why a message is not complete.
pub fn error(reason: Abort) -> Cow<'static, str> {
    match reason {
        Abort::Reset => "connection reset".into(),
        Abort::Closed => "connection closed before the end of the response".into(),
        Abort::StreamReset(code) => format!("stream reset, error code {code:#x}").into(),
        Abort::Malformed => "messages could not be told apart".into(),
        Abort::Lost => "bytes are missing in the capture".into(),
        Abort::Evicted => "given up because memory ran out".into(),
        Abort::CaptureEnd => "the capture ended first".into(),
    }
}

/// Why a body is not there, or not all of it.
pub fn body_comment(body: &Body) -> Option<String> {
    let why = match &body.end {
        BodyEnd::Whole if !body.has_gap => return None,
        BodyEnd::Whole | BodyEnd::Cut if body.lost > 0 => format!("{} bytes are missing in the capture", body.lost),
        BodyEnd::Whole | BodyEnd::Cut if body.has_gap => "bytes are missing in the capture".into(),
        BodyEnd::Whole | BodyEnd::Cut => "the message ended early".into(),
        BodyEnd::TooLarge => "larger than the limit for bodies".into(),
        BodyEnd::Bomb => "grew beyond reason when it was decoded".into(),
        BodyEnd::CodingUnknown(name) => format!("content coding {name:?} cannot be undone; shown as coded"),
        BodyEnd::CodingBroken => "the coded bytes are broken; shown as far as they decode".into(),
        BodyEnd::Dropped => "bodies were not asked for".into(),
    };
    Some(why)
}
