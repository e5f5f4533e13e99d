//! Posted forms: `postData.params`.

use super::json::{Object, array};
use super::sanitise::Sanitiser;

/// Parameters written for one form.
const MOST: usize = 1000;

/// Bytes of a posted text file up to which it is also shown as a parameter.
const FILE_SHOWN: usize = 64 << 10;

/// What a content type says about a form.
pub enum Form {
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// `multipart/form-data` with this boundary.
    Multipart(String),
}

/// The kind of form that a Content-Type value announces.
pub fn kind(content_type: &str) -> Option<Form> {
    let essence = essence(content_type);
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Some(Form::UrlEncoded)
    } else if essence.eq_ignore_ascii_case("multipart/form-data") {
        parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty()).map(Form::Multipart)
    } else {
        None
    }
}

/// The media type without parameters.
pub fn essence(content_type: &str) -> &str {
    let end = content_type.bytes().position(|byte| byte == b';').unwrap_or(content_type.len());
    content_type.get(..end).unwrap_or_default().trim()
}

/// A parameter of a media type or disposition, unquoted ([RFC 9110 §5.6.6](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.6)).
pub fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let key = key.trim_start_matches([';', ' ', '\t']).trim();
        let after = after.trim_start();
        let (text, next) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted),
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if key.rsplit(';').next().unwrap_or(key).trim().eq_ignore_ascii_case(name) {
            return Some(text);
        }
        rest = next;
    }
}

/// Browsers escape a quote in a file name as `%22`, others with a backslash; a lone backslash of an old Windows path stays.
fn unquote(quoted: &str) -> (String, &str) {
    let mut text = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (text, &quoted[at + 1..]),
            '\\' if matches!(chars.peek(), Some((_, '"' | '\\'))) => text.extend(chars.next().map(|(_, c)| c)),
            _ => text.push(c),
        }
    }
    (text, "")
}

/// Writes the parameters of a form, decoded.
pub fn params(out: &mut Vec<u8>, form: &Form, body: &[u8], sanitiser: &Sanitiser) {
    match form {
        Form::UrlEncoded => pairs(out, url::form_urlencoded::parse(body).take(MOST), sanitiser),
        Form::Multipart(boundary) => array(out, parts(body, boundary).take(MOST), |out, part| {
            let mut object = Object::open(out);
            object.string("name", &part.name);
            // Readers fail on parameters without value, be they files; large and binary files are in `text` already.
            let value = match &part.file_name {
                None => String::from_utf8_lossy(part.content),
                Some(_) if part.content.len() > FILE_SHOWN => Default::default(),
                Some(_) => std::str::from_utf8(part.content).unwrap_or_default().into(),
            };
            object.string("value", &sanitiser.named(&part.name, &value));
            if let Some(file_name) = &part.file_name {
                object.string("fileName", file_name);
            }
            if let Some(content_type) = &part.content_type {
                object.string("contentType", content_type);
            }
            object.close();
        }),
    }
}

/// Writes name and value objects.
pub fn pairs<'a>(
    out: &mut Vec<u8>,
    pairs: impl Iterator<Item = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>)>,
    sanitiser: &Sanitiser,
) {
    array(out, pairs, |out, (name, value)| {
        let mut object = Object::open(out);
        object.string("name", &name).string("value", &sanitiser.named(&name, &value));
        object.close();
    });
}

struct Part<'a> {
    name: String,
    file_name: Option<String>,
    content_type: Option<String>,
    content: &'a [u8],
}

/// The parts of a multipart body ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578), [RFC 2046 §5.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.1)).
fn parts<'a>(body: &'a [u8], boundary: &str) -> impl Iterator<Item = Part<'a>> {
    let delimiter = format!("--{boundary}").into_bytes();
    let finder = memchr::memmem::Finder::new(&delimiter).into_owned();
    let mut at = finder.find(body).map(|start| start + delimiter.len());
    std::iter::from_fn(move || {
        loop {
            let rest = body.get(at?..)?;
            if rest.starts_with(b"--") {
                return None;
            }
            let end = finder.find(rest);
            at = end.map(|end| body.len() - rest.len() + end + delimiter.len());
            let part = rest.get(..end.unwrap_or(rest.len()))?;
            let part = part.strip_prefix(b"\r\n").or_else(|| part.strip_prefix(b"\n")).unwrap_or(part);
            if let Some(part) = read_part(part) {
                return Some(part);
            }
        }
    })
}

fn read_part(part: &[u8]) -> Option<Part<'_>> {
    let (head, content) = match memchr::memmem::find(part, b"\r\n\r\n") {
        Some(end) => (part.get(..end)?, part.get(end + 4..)?),
        None => {
            let end = memchr::memmem::find(part, b"\n\n")?;
            (part.get(..end)?, part.get(end + 2..)?)
        }
    };
    let content = content.strip_suffix(b"\r\n").or_else(|| content.strip_suffix(b"\n")).unwrap_or(content);
    let (mut name, mut file_name, mut content_type) = (None, None, None);
    for line in head.split(|&byte| byte == b'\n') {
        let line = String::from_utf8_lossy(line.trim_ascii());
        let Some((field, value)) = line.split_once(':') else { continue };
        if field.eq_ignore_ascii_case("content-disposition") {
            name = parameter(value, "name");
            file_name = parameter(value, "filename");
        } else if field.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.trim().to_owned());
        }
    }
    Some(Part { name: name?, file_name, content_type, content })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parsed(content_type: &str, body: &[u8]) -> Value {
        let mut out = Vec::new();
        params(&mut out, &kind(content_type).unwrap(), body, &Sanitiser::default());
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn url_encoded_pairs_are_decoded() {
        let got = parsed(
            "application/x-www-form-urlencoded; charset=UTF-8",
            b"name=J%C3%B6rg+%26+Co&q=a%2Bb&empty=&flag&q=2",
        );
        let expected = json!([
            {"name": "name", "value": "Jörg & Co"}, {"name": "q", "value": "a+b"}, {"name": "empty", "value": ""},
            {"name": "flag", "value": ""}, {"name": "q", "value": "2"},
        ]);
        assert_eq!(got, expected);
    }

    #[test]
    fn multipart_fields_and_files() {
        let body = b"preamble\r\n--B\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nh\xc3\xa9llo\r\n\
            --B\r\ncontent-disposition: form-data; name=\"up\"; filename=\"a;\\\"b.bin\"\r\nContent-Type: image/png\r\n\r\n\x00\xff\r\n\r\n\
            --B\r\nbroken\r\n--B--\r\nepilogue";
        let got = parsed("multipart/form-data; boundary=\"B\"", body);
        let expected = json!([
            {"name": "title", "value": "héllo"},
            {"name": "up", "value": "", "fileName": "a;\"b.bin", "contentType": "image/png"},
        ]);
        assert_eq!(got, expected);
        assert_eq!(parsed("multipart/form-data; charset=x;boundary=B", &body[..70])[0]["name"], "title");
    }

    #[test]
    fn parameters_are_found_behind_quoted_ones() {
        assert_eq!(parameter("t/x; a=\"b;charset=no\" ; Charset = utf-8", "charset").as_deref(), Some("utf-8"));
        assert_eq!(parameter("t/x", "charset"), None);
        assert_eq!(parameter("t/x; charset", "charset"), None);
        assert_eq!(parameter("t/x; ;; charset=\"unclosed", "charset").as_deref(), Some("unclosed"));
    }
}
