//! Recording into a ring file, for whoever collects the ring files of a folder.

mod backend;
mod builder;
mod marks;
mod settling;
mod start;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests;
