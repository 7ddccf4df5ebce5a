// A collective under way, as Work sees it.
#pragma once

namespace lockstep {

class Operation {
 public:
  virtual ~Operation() = default;

  // True when the buffer may be used; gives the collective a push and never blocks. Throws Failure as wait() does.
  virtual bool done() = 0;
  // As Work::wait().
  virtual void wait() = 0;
  // The handle is gone without wait(): finish, and keep quiet about what went wrong. While an exception unwinds the
  // peers may be elsewhere: give up after a moment instead of standing in the way of the program's end.
  virtual void drop() noexcept = 0;
};

}  // namespace lockstep
