// trainer [COMMAND] --config FILE [--set table.key=value ...]
#pragma once

namespace retape::trainer {

// Runs the command and returns the program's exit status: 0; 1 after an error; 2 where the command line itself is
// wrong; 128 + n where signal n ended a run. An error is one line on stderr that begins with "error: ".
int run_command_line(int argc, const char* const* argv);

}  // namespace retape::trainer
