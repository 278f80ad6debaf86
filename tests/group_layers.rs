//! Layers, filters and subscribers beside each other.

mod filtered_spans;
mod layer_installed_twice;
mod own_subscriber_beside_layers;
mod own_subscriber_random_programs;
mod parents_as_fmt_finds_them;
mod parents_under_filters;
mod random_programs_under_filters;
mod under_other_layers;
