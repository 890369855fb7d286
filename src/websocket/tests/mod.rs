//! The decoder as a whole: dialogues, every chunking, loss, and what other tools get wrong.

mod corners;
mod dialogue;
mod loss;
mod pickup;
mod support;
mod tap;
