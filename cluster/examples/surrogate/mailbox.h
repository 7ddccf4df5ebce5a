// Samples on their way from the solver to the trainers: plain MPI, and no waiting on the solver's side.
#pragma once

#include <mpi.h>

#include <array>
#include <vector>

#include "sample.h"

constexpr int kTrainingTag = 1, kTestTag = 2, kEndTag = 3;

// The solver's end. At most kRoom samples are on their way; when none of them has been taken yet, a further one is
// dropped: the solver is never held up by the training.
class Outbox {
 public:
  // trainers: their ranks in `world`, served in turn.
  Outbox(MPI_Comm world, std::vector<int> trainers);
  void post_training(const Sample& sample);
  // For the end of the program, and the only calls that wait for trainers: a test sample to the first one, and the word
  // to all that nothing more comes.
  void send_test(const Sample& sample);
  void end();

  int sent() const { return sent_; }
  int dropped() const { return dropped_; }
  double seconds() const { return seconds_; }  // spent in post_training

 private:
  static constexpr int kRoom = 64;
  MPI_Comm world_;
  std::vector<int> trainers_;
  std::array<Sample, kRoom> letters_;
  std::array<MPI_Request, kRoom> requests_;
  int used_ = 0, sent_ = 0, dropped_ = 0;
  double seconds_ = 0;
};

// A trainer's end.
class Inbox {
 public:
  explicit Inbox(MPI_Comm world) : world_(world) {}
  // Takes what has come since, and waits for nothing.
  void look();
  bool ended() const { return ended_; }
  std::vector<Sample> training, test;

 private:
  MPI_Comm world_;
  bool ended_ = false;
};
