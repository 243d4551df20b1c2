//! OpenSSH's formats, beside OpenSSH.

mod certificates;
mod hostile;
mod krl;
mod security_keys;
mod support;
