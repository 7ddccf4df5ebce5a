// A process cannot work in a directory that was deleted: said before anything else is.
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <string_view>

namespace {

void check_working_directory(int, char**, char**) {
  constexpr std::string_view kMessage =
      "lockstep-train: the working directory cannot be used: it was deleted or may not be entered\n"
      "  cd to one that exists\n";
  char path[PATH_MAX];
  if (syscall(SYS_getcwd, path, sizeof path) >= 0 || errno == ERANGE) return;
  (void)!write(STDERR_FILENO, kMessage.data(), kMessage.size());
  _exit(1);
}

// LibTorch's libraries end such a process with "oneMKL FATAL ERROR" while they are loaded, before main(). What stands
// in this section of a program is called before the libraries' own initialisers.
[[gnu::section(".preinit_array"), gnu::used]] void (*const at_start)(int, char**, char**) = check_working_directory;

}  // namespace
