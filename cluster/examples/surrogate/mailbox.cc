#include "mailbox.h"

#include <utility>

namespace {

constexpr int kDoubles = sizeof(Sample) / sizeof(double);
static_assert(sizeof(Sample) == kDoubles * sizeof(double));

}  // namespace

Outbox::Outbox(MPI_Comm world, std::vector<int> trainers) : world_(world), trainers_(std::move(trainers)) {
  requests_.fill(MPI_REQUEST_NULL);
}

void Outbox::post_training(const Sample& sample) {
  const double begin = MPI_Wtime();
  int place = used_, free = 1;
  if (used_ < kRoom)
    ++used_;
  else
    MPI_Testany(kRoom, requests_.data(), &place, &free, MPI_STATUS_IGNORE);
  if (free && place == MPI_UNDEFINED) place = 0;  // all of them have arrived
  if (free) {
    letters_[static_cast<std::size_t>(place)] = sample;
    MPI_Isend(&letters_[static_cast<std::size_t>(place)], kDoubles, MPI_DOUBLE,
              trainers_[static_cast<std::size_t>(sent_) % trainers_.size()], kTrainingTag, world_,
              &requests_[static_cast<std::size_t>(place)]);
    ++sent_;
  } else {
    ++dropped_;
  }
  seconds_ += MPI_Wtime() - begin;
}

void Outbox::send_test(const Sample& sample) {
  MPI_Send(&sample, kDoubles, MPI_DOUBLE, trainers_.front(), kTestTag, world_);
}

void Outbox::end() {
  MPI_Waitall(kRoom, requests_.data(), MPI_STATUSES_IGNORE);
  for (const int trainer : trainers_) MPI_Send(nullptr, 0, MPI_DOUBLE, trainer, kEndTag, world_);
}

void Inbox::look() {
  while (!ended_) {
    int there = 0;
    MPI_Status status;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, world_, &there, &status);
    if (!there) return;
    Sample sample;
    const bool end = status.MPI_TAG == kEndTag;
    MPI_Recv(&sample, end ? 0 : kDoubles, MPI_DOUBLE, status.MPI_SOURCE, status.MPI_TAG, world_, MPI_STATUS_IGNORE);
    if (end)
      ended_ = true;
    else
      (status.MPI_TAG == kTestTag ? test : training).push_back(sample);
  }
}
