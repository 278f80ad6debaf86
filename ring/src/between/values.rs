//! Readers and writers of values of one type, each of which is a slot.

use std::marker::PhantomData;
use std::time::Duration;

use super::error::{ReadError, WriteError};
use super::payload;
use super::reader::Reader;
use super::shared::Shared;
use super::view::wait_for;
use super::writer::Writer;
use crate::broadcast::Plain;

impl Writer {
    /// A writer of values, each of which is a slot.
    ///
    /// # Errors
    ///
    /// [`WriteError::WrongLength`] unless a slot is as large as a value.
    pub fn of<T: Plain>(self) -> Result<ValueWriter<T>, WriteError> {
        self.check_length(size_of::<T>())?;
        Ok(ValueWriter { writer: self, value: PhantomData })
    }
}

/// Publishes values of one type.
#[derive(Debug)]
pub struct ValueWriter<T> {
    writer: Writer,
    value: PhantomData<fn(T)>,
}

impl<T: Plain> ValueWriter<T> {
    /// The writer, to publish bytes.
    #[must_use]
    pub fn into_inner(self) -> Writer {
        self.writer
    }

    /// Publishes a value, and says its sequence.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`Writer::try_send`].
    #[inline]
    pub fn try_send(&mut self, value: T) -> Result<u64, WriteError> {
        let mut claim = self.writer.try_claim()?;
        claim.fill(|words| payload::store_value(words, value));
        claim.publish()
    }

    /// Publishes a value when there is room, and says its sequence.
    ///
    /// # Blocking
    ///
    /// Until it is published, or so much time has passed.
    ///
    /// # Errors
    ///
    /// As [`Writer::send`].
    #[inline]
    pub fn send(&mut self, value: T, timeout: Duration) -> Result<u64, WriteError> {
        match self.try_send(value) {
            Err(WriteError::Full | WriteError::Overrun) => {
                self.writer.send_with(timeout, |claim| {
                    claim.fill(|words| payload::store_value(words, value));
                })
            }
            done => done,
        }
    }
}

impl Reader {
    /// A reader of values, each of which is a slot.
    ///
    /// # Errors
    ///
    /// [`ReadError::TooSmall`] unless a slot is as large as a value.
    pub fn of<T: Plain>(self) -> Result<ValueReader<T>, ReadError> {
        let (given, slot) = (size_of::<T>(), self.slot_bytes());
        if given != slot {
            return Err(ReadError::TooSmall { given, slot });
        }
        Ok(ValueReader { reader: self, value: PhantomData })
    }
}

/// Reads values of one type.
#[derive(Debug)]
pub struct ValueReader<T> {
    reader: Reader,
    value: PhantomData<fn() -> T>,
}

impl<T: Plain> ValueReader<T> {
    /// A copy of the next value.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`Reader::try_read`].
    #[inline]
    pub fn try_read(&mut self) -> Result<T, ReadError> {
        let found = self.reader.next_with(|shared, at| payload::load_value(shared.payload(at)))?;
        self.reader.move_gate();
        Ok(found.1)
    }

    /// The same, when there is one.
    ///
    /// # Blocking
    ///
    /// As [`Reader::read`].
    ///
    /// # Errors
    ///
    /// As [`Reader::read`].
    pub fn read(&mut self, timeout: Duration) -> Result<T, ReadError> {
        wait_for(timeout, || self.try_read())
    }

    /// Copies values until the buffer is full or nothing is left, and says how many.
    ///
    /// # Blocking
    ///
    /// Never.
    ///
    /// # Errors
    ///
    /// As [`Reader::try_read`], if there is not even one.
    pub fn try_read_many(&mut self, buffer: &mut [T]) -> Result<usize, ReadError> {
        let mut places = buffer.iter_mut();
        let mut read = 0;
        let most = places.len();
        self.reader.up_to_a_lap(|reader| {
            if read == most {
                return Err(ReadError::Empty);
            }
            let copy = |shared: &Shared, at| payload::load_value(shared.payload(at));
            let (_, value) = reader.next_with(copy)?;
            if let Some(place) = places.next() {
                *place = value;
            }
            read += 1;
            Ok(())
        })
    }

    /// Calls with each value that is there and its sequence, and says how many there were.
    ///
    /// # Blocking
    ///
    /// As [`Reader::read_all`].
    ///
    /// # Errors
    ///
    /// As [`Reader::try_read`], if there is not even one.
    #[inline]
    pub fn read_all(&mut self, mut each: impl FnMut(u64, T)) -> Result<usize, ReadError> {
        self.reader.up_to_a_lap(|reader| {
            let copy = |shared: &Shared, at| payload::load_value(shared.payload(at));
            let (at, value) = reader.next_with(copy)?;
            each(at, value);
            Ok(())
        })
    }

    /// The reader, to read bytes.
    #[must_use]
    pub fn into_inner(self) -> Reader {
        self.reader
    }

    /// The reader, for what it knows of itself.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The same, to skip.
    pub fn reader_mut(&mut self) -> &mut Reader {
        &mut self.reader
    }
}
