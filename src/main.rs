//! The `wsscan` command.

fn main() {}
