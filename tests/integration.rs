//! The table of contents: each module tries one side of salver through real sockets and real files.

mod support;

mod integration {
    mod command_line;
    mod files;
    mod http;
    mod stopping;
}
