//! What a run tells at its end.
use std::time::Duration;
use crate::run::{Job, Report};
pub(super) fn print(_report: &Report, _job: &Job, _verbose: u8) {}
pub(super) fn print_usage(_report: &Report, _took: Duration) {}
