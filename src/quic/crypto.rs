//! CRYPTO frames of both sides become the handshake and the facts of the TLS session.

use super::params::TransportParameters;
use super::protection::{Cipher, Level};
use crate::base::{Budget, Limits, Span, Stamp};
use crate::tcp::reassembly::Assembler;
use crate::tcp::{Side, StreamEvent};
use crate::tls::handshake::{Carrier, Step};
use crate::tls::hello::{ClientHello, Extensions, encrypted_extensions};
use crate::tls::message::kind;
use crate::tls::{Handshake, Message, MessageReader};

/// Stretches that one level and side hold back; Chrome splits its hello into a dozen frames in random order.
const PIECES_KEPT: usize = 256;

/// What became known from CRYPTO frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learned {
    /// Some message was read.
    pub any: bool,
    /// A side's parameters came.
    pub parameters: Option<(Side, TransportParameters)>,
    /// The client's Finished came.
    pub complete: Option<Stamp>,
    /// Messages or stretches that could not be read.
    pub malformed: u32,
}

/// The CRYPTO streams of the Initial and Handshake levels. What 1-RTT packets carry there (tickets) tells nothing.
pub struct Crypto {
    streams: [[CryptoStream; 2]; 2],
    handshake: Handshake,
}

struct CryptoStream {
    assembler: Assembler,
    messages: MessageReader,
    /// Where messages begin is not known any more.
    broken: bool,
}

impl Crypto {
    /// Nothing known yet.
    pub fn new(limits: &Limits, budget: &Budget) -> Self {
        let stream = || CryptoStream {
            assembler: Assembler::new(budget.lease()),
            messages: MessageReader::new(limits, budget),
            broken: false,
        };
        let streams = [[stream(), stream()], [stream(), stream()]];
        Self { streams, handshake: Handshake::new(Carrier::Quic) }
    }

    /// What the handshake told.
    pub fn handshake(&self) -> &Handshake {
        &self.handshake
    }

    /// The cipher that the server chose; `Err` with its number when QUIC has no use for it.
    pub fn cipher(&self) -> Option<Result<Cipher, u16>> {
        // A HelloRetryRequest names a suite too, and no other may follow.
        let number = self.handshake.info.cipher_suite?;
        Some(Cipher::of_suite(number).ok_or(number))
    }

    /// Takes the content of a CRYPTO frame.
    pub fn push(&mut self, level: Level, side: Side, offset: u64, data: &[u8], span: Span, limits: &Limits) -> Learned {
        let mut learned = Learned::default();
        let handshake = &mut self.handshake;
        let streams = self.streams.get_mut(level.space());
        let Some(stream) = streams.and_then(|streams| streams.get_mut(side.index())) else { return learned };
        if stream.broken {
            return learned;
        }
        let CryptoStream { assembler, messages, .. } = stream;
        let mut skipped = 0;
        assembler.push(offset, data, span, &mut |event| {
            if let StreamEvent::Data(chunk) = event {
                skipped += messages.push(chunk.data, chunk.span, &mut |message| {
                    note(handshake, side, &message, &mut learned);
                });
            }
        });
        learned.malformed += skipped as u32;
        if assembler.is_over(limits.tls_message, PIECES_KEPT) {
            assembler.give_up(assembler.high(), span.last, &mut |_| {});
            messages.reset();
            stream.broken = true;
            learned.malformed += 1;
        }
        learned
    }
}

fn note(handshake: &mut Handshake, side: Side, message: &Message<'_>, learned: &mut Learned) {
    let Ok(step) = handshake.note(side, message) else {
        learned.malformed += 1;
        return;
    };
    learned.any = true;
    let extensions = match (side, message.kind) {
        (Side::Client, kind::CLIENT_HELLO) => ClientHello::read(message.body).map(|hello| hello.extensions),
        (Side::Server, kind::ENCRYPTED_EXTENSIONS) => encrypted_extensions(message.body),
        _ => {
            if (side, step) == (Side::Client, Step::Finished) {
                learned.complete = Some(message.span.last);
            }
            return;
        }
    };
    if let Ok(extensions) = extensions
        && let Some(body) = parameters_of(extensions)
    {
        learned.parameters = Some((side, TransportParameters::read(body)));
    }
}

fn parameters_of(extensions: Extensions<'_>) -> Option<&[u8]> {
    TransportParameters::EXTENSIONS.iter().find_map(|&number| extensions.find(number))
}
