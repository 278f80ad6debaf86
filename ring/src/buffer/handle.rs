//! What queues and maps have in common, for those who use them.

use std::fmt;
use std::sync::Arc; // not loom's: it keeps memory, and hands nothing over

use super::batch::Batch;
use super::core::Processor;

/// As it is kept: its errors are words, which are made where a panic is caught.
pub(crate) fn boxed<T, E: fmt::Display>(
    processor: impl Fn(&Batch<T>) -> Result<(), E> + Send + Sync + 'static,
) -> Arc<Processor<T>> {
    Arc::new(move |batch: &Batch<T>| processor(batch).map_err(|why| why.to_string()))
}

/// Methods of a handle with a method `core`, whose processor gets these items.
macro_rules! handle_methods {
    ($item:ty) => {
        /// How many items wait or are in flight. A key of a map of which a value is in flight while another one waits
        /// counts twice.
        ///
        /// # Blocking
        ///
        /// For a short lock of each partition.
        pub fn size(&self) -> usize {
            self.core().depth()
        }

        /// Has all processed that was put before, without waiting for a full batch or the interval, and waits until that is
        /// done: each item is processed, given up, or taken.
        ///
        /// ```
        /// # use std::{convert::Infallible, time::Duration};
        /// # use spandrel_ring::buffer::Queue;
        /// let queue = Queue::builder().start(|_batch| Ok::<(), Infallible>(()))?;
        /// queue.push(1)?;
        /// let flushed = queue.flush(Duration::from_secs(10))?;
        /// assert_eq!((flushed.dead, queue.metrics().processed), (0, 1));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        ///
        /// If time is out, or the buffer was closed with items left.
        ///
        /// # Blocking
        ///
        /// Until then; for the time-out and a short lock of each partition at most. Called by the processor, it waits
        /// for itself, in vain.
        pub fn flush(
            &self,
            timeout: std::time::Duration,
        ) -> Result<$crate::buffer::Flushed, $crate::buffer::FlushError> {
            self.core().flush(timeout)
        }

        /// Hands over all that waits, also what waits for another attempt, partition by partition and in each in
        /// order. What is in flight is not in it, and neither is what comes meanwhile.
        ///
        /// ```
        /// # use std::convert::Infallible;
        /// # use spandrel_ring::buffer::{Options, Queue};
        /// let options = Options::new().partitions(1).interval(std::time::Duration::from_secs(60));
        /// let queue = Queue::builder().options(options).start(|_batch| Ok::<(), Infallible>(()))?;
        /// queue.push("a")?;
        /// queue.push("b")?;
        /// assert_eq!(queue.take(), ["a", "b"]);
        /// assert_eq!((queue.size(), queue.metrics().taken), (0, 2));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Blocking
        ///
        /// For as long as moving them takes: each partition is locked again and again, for some 32 items.
        pub fn take(&self) -> Vec<$item> {
            self.core().take()
        }

        /// Takes the batches that were given up; their room is free then.
        ///
        /// ```
        /// # use std::time::Duration;
        /// # use spandrel_ring::buffer::{Failure, LetterState, Options, Queue};
        /// let queue = Queue::builder()
        ///     .options(Options::new().tries(1))
        ///     .start(|_batch| Err("the disk is full"))?;
        /// queue.push(7)?;
        /// assert_eq!(queue.flush(Duration::from_secs(10))?.dead, 1);
        /// let letters = queue.dead_letters();
        /// assert_eq!((letters[0].items(), letters[0].attempts()), (&[7][..], 1));
        /// assert_eq!(letters[0].failure(), &Failure::Error("the disk is full".into()));
        /// assert_eq!(letters[0].state(), LetterState::Failed);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Blocking
        ///
        /// For a short lock.
        pub fn dead_letters(&self) -> Vec<$crate::buffer::DeadLetter<$item>> {
            self.core().dead_letters()
        }

        /// How it works now.
        ///
        /// # Blocking
        ///
        /// For a short lock.
        pub fn options(&self) -> $crate::buffer::Options {
            self.core().options()
        }

        /// Changes how it works, from now on: size and interval of batches, and how attempts are made.
        ///
        /// ```
        /// # use std::{convert::Infallible, time::Duration};
        /// # use spandrel_ring::buffer::{OptionsError, Queue};
        /// # let queue = Queue::<u8>::builder().start(|_batch| Ok::<(), Infallible>(()))?;
        /// queue.change(queue.options().batch_size(1_000).interval(Duration::from_millis(20)))?;
        /// let refused = queue.change(queue.options().partitions(999)).unwrap_err();
        /// assert_eq!(refused, OptionsError::Fixed("partitions"));
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        ///
        /// If it cannot be so, or not in a buffer that is there: then nothing has changed.
        ///
        /// # Blocking
        ///
        /// For a short lock of each partition.
        pub fn change(
            &self,
            options: $crate::buffer::Options,
        ) -> Result<(), $crate::buffer::OptionsError> {
            options.check(Self::KIND)?;
            self.core().change(options)
        }

        /// Has another processor from the next attempt on.
        ///
        /// # Blocking
        ///
        /// For a short lock.
        pub fn replace_processor<E: std::fmt::Display>(
            &self,
            processor: impl Fn(&$crate::buffer::Batch<$item>) -> Result<(), E> + Send + Sync + 'static,
        ) {
            let new = $crate::buffer::handle::boxed(processor);
            let old = std::mem::replace(
                &mut *$crate::buffer::sync::lock(&self.core().processor),
                new,
            );
            drop(old); // without the lock: it is the user's
        }

        /// Takes nothing more, has processed what is there, and ends the threads, or gives up when time is out. Says what is
        /// left then: [`take`](Self::take) and [`dead_letters`](Self::dead_letters) have it.
        ///
        /// ```
        /// # use std::{convert::Infallible, time::Duration};
        /// # use spandrel_ring::buffer::{Queue, Why};
        /// let queue = Queue::builder().start(|_batch| Ok::<(), Infallible>(()))?;
        /// queue.push(1)?;
        /// let closed = queue.close(Duration::from_secs(10));
        /// assert!(closed.is_complete(), "{closed}");
        /// assert_eq!(closed.processed, 1);
        /// assert_eq!(queue.push(2).unwrap_err().why, Why::Closed);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// A buffer whose last handle is dropped is closed, too, but nobody waits for its threads, and nobody learns
        /// what they cannot process.
        ///
        /// # Blocking
        ///
        /// Until all is processed, for the deadline at most. Called by the processor, it waits for itself, in vain.
        pub fn close(&self, deadline: std::time::Duration) -> $crate::buffer::Closed {
            self.core().close(deadline)
        }
    };
}

pub(crate) use handle_methods;
