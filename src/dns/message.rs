//! One DNS message ([RFC 1035 §4](https://www.rfc-editor.org/rfc/rfc1035#section-4)), as far as a lookup needs it.
//!
//! dns-parser reads headers, and the data of A and AAAA records. Its `Packet::parse` fails on every record type outside its 19. Its
//! names are not used: they are shown by recursion, once per compression pointer, and a message of 16 KiB can hold 8000 of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dns_parser::{Header, Opcode, RData, Type};

use crate::base::{Reader, Short};

/// Record types by number.
pub(super) mod kind {
    pub(in crate::dns) const A: u16 = 1;
    pub(in crate::dns) const CNAME: u16 = 5;
    pub(in crate::dns) const AAAA: u16 = 28;
    pub(in crate::dns) const SVCB: u16 = 64;
    pub(in crate::dns) const HTTPS: u16 = 65;
}

/// Class Internet.
const INTERNET: u16 = 1;
/// Bytes of a name on the wire ([RFC 1035 §2.3.4](https://www.rfc-editor.org/rfc/rfc1035#section-2.3.4)).
const NAME: usize = 255;
/// Questions read of one message. Servers answer one; more come from no resolver.
const QUESTIONS: usize = 4;
/// Aliases kept of one answer. Resolvers give up after about this many.
const ALIASES: usize = 32;
/// Addresses kept of one answer: what fits 4 KiB, the largest answer that servers send over UDP.
const ADDRESSES: usize = 256;

/// Why a message is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

impl From<Short> for Malformed {
    fn from(Short: Short) -> Self {
        Malformed
    }
}

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Question {
    /// Lower case, without the dot at the end.
    pub(super) name: String,
    /// Record type.
    pub(super) kind: u16,
}

/// A query or its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: u16,
    pub(super) is_query: bool,
    pub(super) response_code: u8,
    pub(super) questions: Vec<Question>,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) aliases: Vec<String>,
    /// True when the answers broke off; those before are good.
    pub(super) is_damaged: bool,
}

impl Message {
    /// Reads a message; `None` when it is no plain query or answer of class Internet.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Message>, Malformed> {
        let mut head = *bytes.first_chunk::<12>().ok_or(Malformed)?;
        // The reserved bit, which dns-parser insists on being 0.
        head[3] &= !0x40;
        let header = Header::parse(&head).map_err(|_| Malformed)?;
        if header.opcode != Opcode::StandardQuery {
            return Ok(None);
        }
        let mut reader = Reader::new(bytes);
        reader.skip(head.len())?;
        let mut questions = Vec::new();
        for _ in 0..header.questions {
            let name = name(&mut reader, bytes)?;
            let (kind, class) = (reader.u16()?, reader.u16()?);
            if class == INTERNET && questions.len() < QUESTIONS {
                questions.push(Question { name, kind });
            }
        }
        if questions.is_empty() && header.questions > 0 {
            return Ok(None);
        }
        let mut message = Message {
            id: header.id,
            is_query: header.query,
            response_code: header.response_code.into(),
            questions,
            addresses: Vec::new(),
            aliases: Vec::new(),
            is_damaged: false,
        };
        if !message.is_query {
            message.is_damaged = (0..header.answers).any(|_| message.answer(&mut reader, bytes).is_err());
        }
        Ok(Some(message))
    }

    /// Reads one record of the answer section.
    fn answer<'a>(&mut self, reader: &mut Reader<'a>, bytes: &'a [u8]) -> Result<(), Malformed> {
        skip_name(reader)?;
        let (kind, class) = (reader.u16()?, reader.u16()?);
        reader.skip(4)?;
        let len = usize::from(reader.u16()?);
        let start = reader.position();
        let data = reader.take(len)?;
        if class != INTERNET {
            return Ok(());
        }
        match kind {
            kind::A | kind::AAAA => {
                let kind = Type::parse(kind).map_err(|_| Malformed)?;
                match RData::parse(kind, data, bytes).map_err(|_| Malformed)? {
                    RData::A(record) => self.add(IpAddr::V4(record.0)),
                    RData::AAAA(record) => self.add(IpAddr::V6(record.0)),
                    _ => {}
                }
            }
            kind::CNAME => {
                let mut at = Reader::new(bytes);
                at.skip(start)?;
                let alias = name(&mut at, bytes)?;
                if self.aliases.len() < ALIASES {
                    self.aliases.push(alias);
                }
            }
            kind::HTTPS | kind::SVCB => self.hints(data)?,
            _ => {}
        }
        Ok(())
    }

    /// Address hints of a service binding ([RFC 9460 §7.3](https://www.rfc-editor.org/rfc/rfc9460#section-7.3)).
    fn hints(&mut self, data: &[u8]) -> Result<(), Malformed> {
        const IPV4_HINT: u16 = 4;
        const IPV6_HINT: u16 = 6;
        let mut reader = Reader::new(data);
        reader.skip(2)?;
        skip_name(&mut reader)?;
        while !reader.is_empty() {
            let (key, len) = (reader.u16()?, reader.u16()?);
            let value = reader.take(usize::from(len))?;
            match key {
                IPV4_HINT => value.as_chunks::<4>().0.iter().for_each(|&v4| self.add(IpAddr::V4(Ipv4Addr::from(v4)))),
                IPV6_HINT => value.as_chunks::<16>().0.iter().for_each(|&v6| self.add(IpAddr::V6(Ipv6Addr::from(v6)))),
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, address: IpAddr) {
        if self.addresses.len() < ADDRESSES && !self.addresses.contains(&address) {
            self.addresses.push(address);
        }
    }
}

/// Moves behind a name without following its compression pointer.
fn skip_name(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    loop {
        match reader.u8()? {
            0 => return Ok(()),
            len @ 1..0x40 => reader.skip(usize::from(len))?,
            0xc0.. => return Ok(reader.skip(1)?),
            _ => return Err(Malformed),
        }
    }
}

/// Reads a name: lower case, labels joined by dots, no dot at the end; bytes that are no plain text as `\DDD`
/// ([RFC 4343 §2.1](https://www.rfc-editor.org/rfc/rfc4343#section-2.1)).
fn name<'a>(reader: &mut Reader<'a>, message: &'a [u8]) -> Result<String, Malformed> {
    let mut text = String::new();
    let mut at = *reader;
    let mut len = 0;
    let mut end = None;
    // Where the part of the name began that is being read: pointers lead strictly backwards, so there is an end to them.
    let mut part = at.position();
    loop {
        match at.u8()? {
            0 => break,
            label @ 1..0x40 => {
                let label = at.take(usize::from(label))?;
                len += label.len() + 1;
                if len > NAME {
                    return Err(Malformed);
                }
                if !text.is_empty() {
                    text.push('.');
                }
                label.iter().for_each(|&byte| push(&mut text, byte));
            }
            high @ 0xc0.. => {
                let target = usize::from(u16::from_be_bytes([high & 0x3f, at.u8()?]));
                end.get_or_insert(at);
                // A pointer that follows another costs a step but adds no byte to the name: they count, too.
                len += 1;
                if target >= part || len > NAME {
                    return Err(Malformed);
                }
                part = target;
                at = Reader::new(message);
                at.skip(target)?;
            }
            _ => return Err(Malformed),
        }
    }
    *reader = end.unwrap_or(at);
    Ok(text)
}

fn push(text: &mut String, byte: u8) {
    match byte {
        b'.' | b'\\' => text.extend(['\\', char::from(byte)]),
        0x21..=0x7e => text.push(char::from(byte.to_ascii_lowercase())),
        _ => text.push_str(&format!("\\{byte:03}")),
    }
}
