// A terminal that closes ends no run unsaved, and one that was told to outlive it not at all.
#include <fcntl.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "tests/integration/training_case.h"
#include "trainer/checkpoint_files.h"

namespace retape::integration {
namespace {

using testing::IsEmpty;

class HangUp : public TrainingCase {
 protected:
  Settings long_run(const std::string& run) const {
    return settings(run) + Settings{"train.steps=150", "train.eval_every=40", "train.batch_size=8"};
  }
};

// The trainer as the leader of a session on a terminal of its own, as a shell that was replaced by it.
class OnTerminal {
 public:
  explicit OnTerminal(std::vector<std::string> words) {
    words.insert(words.begin(), RETAPE_TRAINER);
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (std::string& word : words) {
      argv.push_back(word.data());
    }
    argv.push_back(nullptr);
    pid_ = forkpty(&terminal_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      execv(argv.front(), argv.data());
      _exit(127);
    }
    EXPECT_GT(pid_, 0);
    EXPECT_EQ(fcntl(terminal_, F_SETFL, O_NONBLOCK), 0);
  }
  ~OnTerminal() {
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  // Takes what is shown, so that the program need not wait.
  void read() const {
    std::string shown(1 << 12, ' ');
    while (::read(terminal_, shown.data(), shown.size()) > 0) {
    }
  }
  void close() const { ::close(terminal_); }
  int wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return status;
  }

 private:
  int terminal_ = -1;
  pid_t pid_ = -1;
};

TEST_F(HangUp, SavesAndStops) {
  train("whole", long_run("whole"));
  OnTerminal process(arguments("", long_run("closed")));
  while (rows_so_far("closed") < 5) {
    process.read();
    pause(std::chrono::milliseconds(1));
  }
  process.close();
  const int status = process.wait();
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGHUP);
  const auto saved = trainer::open_latest_checkpoint(checkpoints("closed")).checkpoint;
  ASSERT_TRUE(saved.has_value());
  EXPECT_LT(saved->step(), 150);
  train("closed", long_run("closed"));
  expect_same_bits("whole", "closed");
}

TEST_F(HangUp, IsNothingToWhatIgnoresIt) {
  TrainerProcess process(arguments("", long_run("nohup")), {.ignored_signals = {SIGHUP}});
  ASSERT_TRUE(wait_until(process, [&] { return rows_so_far("nohup") >= 5; }));
  process.send(SIGHUP);
  const Exit exit = process.wait();
  EXPECT_TRUE(exit.ok()) << "status " << exit.status << ", signal " << exit.signal;
  EXPECT_THAT(exit.err, IsEmpty());
}

}  // namespace
}  // namespace retape::integration
