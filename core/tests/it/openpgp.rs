//! OpenPGP: what we write, and what foreign programs and we say of each other's.

mod armoring;
mod gnupg;
mod peers;
mod reading;
mod writing;
