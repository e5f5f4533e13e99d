//! What fuzz bodies of every floor share: reproducible dice, a mutator for the stable test, and a reader of choices.

/// Small, seeded, the same everywhere (SplitMix64).
#[derive(Debug, Clone)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.draw() % end.max(1) as u64) as usize
    }

    /// Dice that fall as the bytes say, so that a fuzzer's input decides them.
    pub fn of(bytes: &[u8]) -> Self {
        Self(bytes.iter().fold(bytes.len() as u64, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
    }
}

/// Numbers that length fields are tried with.
const EDGES: [u64; 12] = [0, 1, 2, 0x3f, 0x40, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0xffff, u64::MAX];

/// One of the seeds, with up to eight changes: bits, bytes, length fields of 1 to 8 octets in either order, cuts, repetitions,
/// and parts of the other seeds. At most twice as long as the longest seed, and 64 bytes more.
pub fn mutate(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
    let most = seeds.iter().map(Vec::len).max().unwrap_or(0) * 2 + 64;
    let mut bytes = seeds.get(dice.below(seeds.len())).cloned().unwrap_or_default();
    for _ in 0..1 + dice.below(8) {
        let at = dice.below(bytes.len());
        let room = bytes.len() - at;
        let some = |dice: &mut Dice, room: usize| {
            let near = [4, 64, usize::MAX][dice.below(3)].min(room);
            dice.below(near + 1)
        };
        match dice.below(9) {
            0 | 1 if room > 0 => bytes[at] ^= 1 << dice.below(8),
            2 if room > 0 => bytes[at] = dice.draw() as u8,
            3 if room > 0 => {
                let width = (1 << dice.below(4)).min(room);
                let number = EDGES[dice.below(EDGES.len())].wrapping_add(dice.below(3) as u64);
                let field: Vec<u8> = match dice.below(2) {
                    0 => number.to_be_bytes()[8 - width..].to_vec(),
                    _ => number.to_le_bytes()[..width].to_vec(),
                };
                bytes[at..at + width].copy_from_slice(&field);
            }
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(at..at + some(dice, room))),
            6 => {
                let again = bytes[at..at + some(dice, room)].to_vec();
                let times = 1 + dice.below(3);
                drop(bytes.splice(at..at, again.repeat(times)));
            }
            7 => {
                let other = seeds.get(dice.below(seeds.len())).map_or(&[][..], Vec::as_slice);
                let from = dice.below(other.len());
                let part = &other[from..from + some(dice, other.len() - from)];
                let end = at + some(dice, room).min(part.len());
                drop(bytes.splice(at..end, part.iter().copied()));
            }
            _ => drop(bytes.splice(at..at, (0..dice.below(9)).map(|_| dice.draw() as u8).collect::<Vec<_>>())),
        }
        bytes.truncate(most);
    }
    bytes
}

/// Lengths of the pieces that `len` bytes are cut into, each at least 1.
pub fn pieces(dice: &mut Dice, mut len: usize) -> Vec<usize> {
    let largest = [1, 3, 17, 300, 5000][dice.below(5)];
    let mut all = Vec::new();
    while len > 0 {
        let piece = (1 + dice.below(largest)).min(len);
        all.push(piece);
        len -= piece;
    }
    all
}

/// Runs a body over every seed and over `rounds` mutations. An input that breaks it is shown as a Rust string.
#[cfg(test)]
pub fn try_out(name: &str, seeds: &[Vec<u8>], rounds: u64, body: fn(&[u8])) {
    struct Shown<'a>(&'a str, &'a [u8]);
    impl Drop for Shown<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                println!("{} breaks on b\"{}\"", self.0, self.1.escape_ascii());
            }
        }
    }
    assert!(!seeds.is_empty(), "{name} has no seeds");
    let mut dice = Dice(1);
    let mutated = (0..rounds).map(|_| mutate(&mut dice, seeds));
    for bytes in seeds.iter().cloned().chain(mutated).chain([Vec::new()]) {
        let shown = Shown(name, &bytes);
        body(shown.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_dice_give_the_same_bytes() {
        let seeds = [b"some seed".to_vec(), vec![7; 100]];
        let run = || {
            let mut dice = Dice(5);
            (0..200).map(|_| mutate(&mut dice, &seeds)).collect::<Vec<_>>()
        };
        assert_eq!(run(), run());
        assert!(run().iter().all(|bytes| bytes.len() <= 264));
        assert!(run().iter().filter(|bytes| seeds.contains(bytes)).count() < 20);
        assert_eq!(pieces(&mut Dice(3), 1000).iter().sum::<usize>(), 1000);
    }
}
