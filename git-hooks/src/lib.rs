//! Hooks: how they come to stand beside those that are there already, what each of them does, and
//! the run of an agent that they serve.
//!
//! Nothing that exists is overwritten: git is pointed at a directory of ours, whose scripts run
//! what was there before as well.

#![forbid(unsafe_code)]

pub mod chained;
pub mod event;
pub mod message;
pub mod names;
pub mod receive;
pub mod run;
pub mod scripts;
