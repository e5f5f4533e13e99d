//! Floor 1: capture files, pipes and compressed files become frames.

pub mod frame;

pub use frame::{Frame, LinkType, Secrets, SecretsKind};
