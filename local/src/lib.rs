//! What our processes on one machine have in common: directories that nobody else can enter, unix
//! sockets in them, however long their paths, and memory that keeps secrets.

#![deny(unsafe_code)]

mod locked;
mod private_directory;
mod process;
mod socket_file;
mod socket_path;

pub use locked::{LockedMemory, Weakness};
pub use private_directory::{DirectoryError, check_private_directory, create_private_directory};
pub use process::{ProcessProtection, protect_process};
pub use socket_file::SocketFile;
pub use socket_path::SocketPath;
