/** The text of `README`. */
export const README_TEXT: string = `usertrace: user_events served from user space, in the shape of tracefs

A program registers events through user_events_data, and its memory says whether
somebody listens. Whoever may open these files lists the events, switches them on
and reads what is written.

 What there is
  user_events_data      programs register and write their events here
  user_events_status    every event; those in use say "# Used by ftrace"
  user_events_unsettled memory that could not be told of an event, and why
  dynamic_events        the same as commands; write "u:name u32 field" to make one,
                        "-:name" to remove one
  uprobe_events         probes of native programs; write "p:grp/ev PATH:OFFSET a=%di" to
                        make one, "-:grp/ev" to remove one
  uprobe_profile        their hits
  available_events      every event as system:name
  set_event             the events that are on; write a name to switch on, !name off
  events/               a directory for each system and event: enable, format, id

 What was recorded
  trace                 everything in the buffer; empty it with: echo > trace
  trace_pipe            the same, but reading takes it away and waits for more
  per_cpu/              both for each CPU, the raw sub-buffers, and counts
  trace_marker          what is written here appears in the buffer

 How it is recorded
  tracing_on            0 stops recording, 1 goes on
  buffer_size_kb        the size of each CPU's buffer; the oldest is overwritten
  trace_clock           the clock of the times; changing it empties the buffer
  trace_options         how things are printed and recorded; one file each in options/
  error_log             why commands were refused
  instances/            mkdir makes a buffer with files and events of its own

 To begin with
  # echo 1 > events/user_events/enable
  # cat trace_pipe
`;
