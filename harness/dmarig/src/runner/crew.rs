//! [`Crew`]: the worker's thread, and what became of it. A worker that panics is our bug and ends the
//! boot; it must neither hang the run nor take the results so far along.

use std::any::Any;
use std::io;
use std::thread::{self, JoinHandle};

use super::ending::Ending;
use crate::event::BootEnding;

/// A thread that gives back a `T`.
pub struct Crew<T>(JoinHandle<T>);

impl<T: Send + 'static> Crew<T> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Self> {
        thread::Builder::new()
            .name("worker".into())
            .spawn(work)
            .map(Self)
    }

    /// Whether the thread has ended, well or not.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for the thread's end.
    ///
    /// # Errors
    /// It panicked.
    pub fn join(self) -> Result<T, Ending> {
        self.0.join().map_err(|panic| {
            let text = format!("the harness failed: {}", message(panic.as_ref()));
            Ending::new(BootEnding::HarnessFailed, text)
        })
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_is_an_ending_that_is_our_bug_and_says_why() {
        let number = 7;
        let crew = Crew::<()>::start(move || panic!("case {number} is impossible"));
        let ending = crew.expect("a thread").join().expect_err("it panicked");
        assert_eq!(ending.how, BootEnding::HarnessFailed);
        assert!(ending.detail.contains("case 7 is impossible"), "{ending:?}");
    }

    #[test]
    fn thread_that_ends_well_gives_its_result() {
        let crew = Crew::start(|| 42).expect("a thread");
        assert_eq!(crew.join(), Ok(42));
    }
}
