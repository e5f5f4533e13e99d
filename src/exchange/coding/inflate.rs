//! gzip, zlib and raw deflate.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};
use libdeflater::Decompressor;
use memchr::memmem;

use super::{Emit, PIECE, Stop, hand_on};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Wrapper {
    Gzip,
    /// RFC 9110 §8.4.1.2 means zlib; some servers send raw deflate.
    ZlibOrRaw,
}

/// gzip (RFC 1952, several members), zlib (RFC 1950) and raw deflate (RFC 1951).
pub(super) struct Inflate {
    wrapper: Wrapper,
    /// `None` until the first two bytes told what it is.
    state: Option<Decompress>,
    /// The first byte, when it came alone.
    first: Option<u8>,
    place: Place,
}

/// Where in a series of gzip members the reading is; zlib and deflate are a single one.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Member,
    /// A member has ended; another may follow.
    Between,
    /// Padding has begun, behind which nothing more comes.
    Padding,
}

/// Identification and compression method, the start of each member (RFC 1952 §2.3.1).
const MEMBER: [u8; 3] = [0x1f, 0x8b, 8];

thread_local! {
    /// Making one costs as much as decoding a small body.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// Decodes one gzip member that is there as a whole and says that it fits in `room` bytes. `None` for everything else, where only
/// a stream can tell what is wrong and how far it is good.
pub(super) fn whole(coded: &[u8], room: usize) -> Option<Vec<u8>> {
    let (_, size) = coded.split_last_chunk()?;
    let size = usize::try_from(u32::from_le_bytes(*size)).ok().filter(|size| (1..=room).contains(size))?;
    // The decoder does not say where the member ended: nothing that may be a second one can stand behind it.
    if memmem::find(coded.get(1..)?, &MEMBER).is_some() {
        return None;
    }
    let mut plain = vec![0; size];
    let result = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.gzip_decompress(coded, &mut plain));
    (result == Ok(size)).then_some(plain)
}

impl Inflate {
    pub(super) fn new(wrapper: Wrapper) -> Self {
        Self { wrapper, state: None, first: None, place: Place::Member }
    }

    /// True when each member says how long it is decoded.
    pub(super) fn is_gzip(&self) -> bool {
        self.wrapper == Wrapper::Gzip
    }

    /// True when the stream came to its own end, or never began.
    pub(super) fn is_complete(&self) -> bool {
        self.place != Place::Member || self.state.is_none() && self.first.is_none()
    }

    /// About how many bytes it allocates.
    pub(super) fn memory(&self) -> usize {
        48 << 10
    }

    pub(super) fn push(&mut self, mut input: &[u8], emit: Emit<'_>) -> Result<(), Stop> {
        if self.state.is_none() {
            let mut start = [0u8; 2];
            let have = self.first.iter().chain(input.iter());
            let known = start.iter_mut().zip(have).map(|(to, from)| *to = *from).count();
            if known < 2 {
                self.first = self.first.or(input.first().copied());
                return Ok(());
            }
            let mut state = match self.wrapper {
                Wrapper::Gzip => Decompress::new_gzip(15),
                Wrapper::ZlibOrRaw => {
                    let is_zlib = start[0] & 0x0f == 8 && u16::from_be_bytes(start).is_multiple_of(31);
                    Decompress::new(is_zlib)
                }
            };
            if let Some(first) = self.first.take() {
                self.run(&mut state, &[first], emit)?;
            }
            self.state = Some(state);
        }
        let Some(mut state) = self.state.take() else { return Ok(()) };
        let result = loop {
            if self.place != Place::Member {
                let Some(&next) = input.first() else { break Ok(()) };
                if self.place == Place::Padding || self.wrapper != Wrapper::Gzip || next != 0x1f {
                    self.place = Place::Padding;
                    break Ok(());
                }
                state = Decompress::new_gzip(15);
                self.place = Place::Member;
            }
            match self.run(&mut state, input, emit) {
                Ok(used) => input = input.get(used..).unwrap_or_default(),
                Err(stop) => break Err(stop),
            }
            if self.place == Place::Member || input.is_empty() {
                break Ok(());
            }
        };
        self.state = Some(state);
        result
    }

    /// Inflates until the input is used up or the stream ends; says how much was used.
    fn run(&mut self, state: &mut Decompress, input: &[u8], emit: Emit<'_>) -> Result<usize, Stop> {
        let mut used = 0;
        let mut output = Vec::with_capacity(PIECE.min(input.len().saturating_mul(8).max(512)));
        loop {
            let (read_before, wrote_before) = (state.total_in(), state.total_out());
            let rest = input.get(used..).unwrap_or_default();
            let status = state.decompress_vec(rest, &mut output, FlushDecompress::None);
            used += (state.total_in() - read_before) as usize;
            hand_on(&output, emit)?;
            let full = output.len() == output.capacity();
            output.clear();
            match status {
                Err(_) => return Err(Stop::Broken),
                Ok(Status::StreamEnd) => {
                    self.place = Place::Between;
                    return Ok(used);
                }
                Ok(_) if used == input.len() && !full => return Ok(used),
                Ok(_) if state.total_in() == read_before && state.total_out() == wrote_before => return Ok(used),
                Ok(_) => {}
            }
        }
    }
}
