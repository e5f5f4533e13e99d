//! Writes the seeds of every target to its corpus: `seed FOLDER`. Prints the names of the targets.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "corpus".to_owned());
    for target in harshark::fuzzing::TARGETS {
        let corpus = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&corpus)?;
        for seed in (target.seeds)() {
            let mut hasher = DefaultHasher::new();
            seed.hash(&mut hasher);
            std::fs::write(corpus.join(format!("{:016x}", hasher.finish())), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
