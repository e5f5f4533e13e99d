//! Finds what stands between the packets of a capture, without reading these: decryption secrets, and statistics of interfaces.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::dropped::{Dropped, Statistics};
use super::frame::Secrets;
use super::order::Order;
use super::pcapng::{
    DECRYPTION_SECRETS, HEAD, INTERFACE_DESCRIPTION, INTERFACE_STATISTICS, SECTION_HEADER, secrets, section_order,
    statistics,
};
use crate::base::Limits;

/// Bytes read at once; blocks longer than what is left of them are skipped unread.
const STEP: usize = 256 << 10;

/// Hands every Decryption Secrets Block of a pcapng file to `out`, so that secrets which stand behind the packets they
/// serve are known in time. Files of other formats, compressed files and pipes have nothing to give: their secrets come
/// with the frames. Where the file is damaged the search ends; [`Reader`](super::Reader) tells of it. The answer is what
/// interfaces dropped by their statistics; packets may tell more, which are not looked at.
pub fn look_ahead(path: &Path, limits: &Limits, out: &mut dyn FnMut(Secrets<'_>)) -> io::Result<Dropped> {
    let mut found = Found::default();
    if path.as_os_str() != "-" && std::fs::metadata(path)?.is_file() {
        blocks(path, limits, &mut found, out)?;
    }
    Ok(found.dropped())
}

/// What was found of interfaces so far.
#[derive(Default)]
struct Found {
    /// Of the section.
    interfaces: Vec<Statistics>,
    /// Of sections before.
    dropped: Dropped,
}

impl Found {
    fn dropped(&self) -> Dropped {
        let mut dropped = self.dropped;
        self.interfaces.iter().for_each(|statistics| dropped.add(&statistics.dropped()));
        dropped
    }
}

fn blocks(path: &Path, limits: &Limits, found: &mut Found, out: &mut dyn FnMut(Secrets<'_>)) -> io::Result<()> {
    let mut file = BufReader::with_capacity(STEP, File::open(path)?);
    let mut order = Order::Little;
    let mut block = Vec::new();
    let mut is_first = true;
    loop {
        let mut head = [0; HEAD];
        if !fill(&mut file, &mut head)? {
            return Ok(());
        }
        let kind = order.u32(&head, 0).unwrap_or(0);
        if is_first && kind != SECTION_HEADER {
            return Ok(());
        }
        is_first = false;
        let mut read = HEAD;
        if kind == SECTION_HEADER {
            let mut magic = [0; 4];
            if !fill(&mut file, &mut magic)? {
                return Ok(());
            }
            let [a, b, c, d, e, f, g, h] = head;
            let [i, j, k, l] = magic;
            let Some(known) = section_order(&[a, b, c, d, e, f, g, h, i, j, k, l]) else { return Ok(()) };
            order = known;
            found.dropped = found.dropped();
            found.interfaces.clear();
            read += magic.len();
        }
        let len = order.u32(&head, 4).unwrap_or(0) as usize;
        let padded = len.checked_next_multiple_of(4).filter(|&padded| padded >= 12);
        let Some(rest) = padded.and_then(|padded| padded.checked_sub(read)) else { return Ok(()) };
        if rest > limits.capture_block {
            return Ok(());
        }
        if kind == INTERFACE_DESCRIPTION && found.interfaces.len() < limits.capture_interfaces {
            found.interfaces.push(Statistics::default());
        }
        if !matches!(kind, DECRYPTION_SECRETS | INTERFACE_STATISTICS) {
            file.seek_relative(rest as i64)?;
            continue;
        }
        block.clear();
        if file.by_ref().take(rest as u64).read_to_end(&mut block)? < rest {
            return Ok(());
        }
        let body = block.get(..rest - 4).unwrap_or_default();
        if kind == INTERFACE_STATISTICS {
            statistics(order, body, &mut found.interfaces);
        } else if let Some((kind, data)) = secrets(order, body) {
            let data = body.get(data.start..data.end.min(body.len())).unwrap_or_default();
            out(Secrets { kind, data });
        }
    }
}

/// Reads the whole array; false when the file ends before.
fn fill(file: &mut BufReader<File>, into: &mut [u8]) -> io::Result<bool> {
    // Mostly the buffer has it.
    if let Some(ready) = file.buffer().get(..into.len()) {
        into.copy_from_slice(ready);
        file.consume(into.len());
        return Ok(true);
    }
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
