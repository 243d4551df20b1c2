//! `notme` in place of ssh-keygen, beside ssh-keygen itself.

mod agents;
mod differences;
mod differential;
mod fixture;
mod signing;
mod stock;
mod users;
