//! A method that a foreign trait declares `unsafe`, with a body that is not.

/// Declares a method that is unsafe to call, because a foreign trait has it so, whose body is a call of a
/// safe method with the same argument.
///
/// Crates that forbid `unsafe_code` cannot implement such a method at all, though there may be nothing
/// unsafe in it. What the macro writes is the signature and one call, neither of which touches memory;
/// so it is safe to use anywhere. What the trait asks of the *result* is for the safe method to keep.
#[macro_export]
macro_rules! unsafe_method {
    ($name:ident, $argument:ty, $result:ty, $safe:ident) => {
        unsafe fn $name(&self, argument: $argument) -> $result {
            self.$safe(argument)
        }
    };
}
