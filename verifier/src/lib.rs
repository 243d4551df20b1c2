//! Evidence, trust and judged time in; one verdict out.
//!
//! The order of the steps is fixed and the first failing one decides: split the raw object, parse
//! and check the signature, find who signed, find when, ask whether that still holds, ask whether
//! the policy allows it. [`judge`] is the decision and is pure; [`load`] opens trust files,
//! [`repository`] reads git, [`cache`] keeps what was found out, and nothing else here touches the
//! world. Clocks come in as arguments.

#![forbid(unsafe_code)]

mod anchor;
mod bundles;
pub mod cache;
pub mod evidence;
mod examinations;
pub mod explain;
pub mod forge;
pub mod judge;
pub mod lineage;
mod lines;
pub mod load;
pub mod log_entry;
pub mod merge_tag;
mod named;
pub mod openpgp;
pub mod order;
pub mod policy;
pub mod radius;
mod recall;
pub mod refusal;
pub mod report;
pub mod repository;
mod scene;
pub mod ssh;
pub mod standing;
mod standings;
pub mod stated;
pub mod suspicion;
pub mod time_stamp;
pub mod trust;
pub mod verdict;
pub mod verify;
mod wrap;

pub use cache::Cache;
pub use judge::{Judge, Judgement};
pub use lineage::Lineage;
pub use policy::Policy;
pub use repository::Repository;
pub use trust::Trust;
pub use verdict::{Code, TimeBasis, Verdict};
pub use verify::{Outcome, verify_range, verify_with};
