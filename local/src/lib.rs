//! What our processes on one machine have in common: directories that nobody else can enter, and
//! unix sockets in them, however long their paths.

#![forbid(unsafe_code)]

mod private_directory;
mod socket_file;
mod socket_path;

pub use private_directory::{DirectoryError, check_private_directory, create_private_directory};
pub use socket_file::SocketFile;
pub use socket_path::SocketPath;
