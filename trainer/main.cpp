#include "trainer/command_line.h"

int main(int argc, char** argv) {
  return retape::trainer::run_command_line(argc, argv);
}
