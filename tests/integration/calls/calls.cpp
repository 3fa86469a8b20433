// Stands before the system calls of a program that is started with LD_PRELOAD:
//
//   RETAPE_CALLS_LOG   a file that gets a line for each: "create PATH", "fdatasync PATH", "rename TO"
//   RETAPE_CALLS_HOLD  a path: opening a file of checkpoints makes PATH.reached and waits for PATH.go
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>

namespace {

template <class Call>
Call* next(const char* name) {
  return reinterpret_cast<Call*>(dlsym(RTLD_NEXT, name));
}

int open_really(const char* path, int flags, mode_t mode) {
  return next<int(const char*, int, ...)>("open")(path, flags, mode);
}

void record(const std::string& call) {
  const char* log = std::getenv("RETAPE_CALLS_LOG");
  if (log == nullptr) {
    return;
  }
  const int file = open_really(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
  const std::string line = call + "\n";
  (void)!write(file, line.data(), line.size());
  close(file);
}

std::string path_of(int file) {
  std::string path(4096, '\0');
  const ssize_t length = readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path.data(), path.size());
  path.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return path;
}

void hold_at(const char* path) {
  const char* hold = std::getenv("RETAPE_CALLS_HOLD");
  if (hold == nullptr || std::strstr(path, "checkpoints/save-") == nullptr) {
    return;
  }
  close(open_really((std::string(hold) + ".reached").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  const std::string go = std::string(hold) + ".go";
  while (access(go.c_str(), F_OK) != 0) {
    const timespec millisecond{.tv_sec = 0, .tv_nsec = 1'000'000};
    nanosleep(&millisecond, nullptr);
  }
}

}  // namespace

extern "C" {

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const auto mode = static_cast<mode_t>((flags & O_CREAT) != 0 ? va_arg(rest, int) : 0);
  va_end(rest);
  hold_at(path);
  if ((flags & O_CREAT) != 0) {
    record(std::string("create ") + path);
  }
  return open_really(path, flags, mode);
}

int fdatasync(int file) {
  record("fdatasync " + path_of(file));
  return next<int(int)>("fdatasync")(file);
}

int rename(const char* from, const char* to) noexcept {
  record(std::string("rename ") + to);
  return next<int(const char*, const char*)>("rename")(from, to);
}
}
