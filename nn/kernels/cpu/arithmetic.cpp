#include "nn/kernels/arithmetic.h"

#include "nn/kernels/cpu/implement.h"
#include "nn/kernels/cpu/repeats.h"
#include "nn/kernels/cpu/simd.h"

namespace retape::nn::cpu {
namespace {

// An operand as it lies along the result.
template <class T>
Repeated<T> along_result(const void* values, Elems elems, const ArithmeticOperands& operands) {
  return Repeated<T>(values, elems, operands.elems(), width_of_repeats(operands.period()));
}

template <class T, class Operation>
void apply(Machine& machine, const ArithmeticForward& kernel, Operation operation) {
  const ArithmeticOperands& operands = kernel.operands;
  const auto left = along_result<T>(operands.a, operands.a_elems, operands);
  const auto right = along_result<T>(operands.b, operands.b_elems, operands);
  for_each_segment(machine, operands.elems(), width_of_repeats(operands.period()), [&](const Segment& segment) {
    const T* a = left.at(segment);
    const T* b = right.at(segment);
    T* out = static_cast<T*>(kernel.out) + segment.begin;
    for_each_vector(0, segment.count, [=](Elems i, auto lanes) {
      store(operation(load(a + i, lanes), load(b + i, lanes)), out + i, lanes);
    });
  });
}

template <class T>
void apply(Machine& machine, const ArithmeticForward& kernel) {
  switch (kernel.kind) {
    case ArithmeticKind::add:
      return apply<T>(machine, kernel, [](FloatVector a, FloatVector b) { return hn::Add(a, b); });
    case ArithmeticKind::subtract:
      return apply<T>(machine, kernel, [](FloatVector a, FloatVector b) { return hn::Sub(a, b); });
    case ArithmeticKind::multiply:
      return apply<T>(machine, kernel, [](FloatVector a, FloatVector b) { return hn::Mul(a, b); });
    case ArithmeticKind::divide:
      return apply<T>(machine, kernel, [](FloatVector a, FloatVector b) { return hn::Div(a, b); });
  }
}

Elems gradient_elems(const ArithmeticBackward& kernel) {
  return kernel.of_b ? kernel.operands.b_elems : kernel.operands.a_elems;
}

bool is_repeated(const ArithmeticBackward& kernel) {
  return gradient_elems(kernel) < kernel.operands.elems();
}

template <class G, class TermAt>
void write_gradient(Machine& machine, const ArithmeticBackward& kernel, TermAt term_at) {
  auto* gradient = static_cast<G*>(kernel.gradient);
  const ArithmeticOperands& operands = kernel.operands;
  const bool accumulate = kernel.accumulate;
  if (!is_repeated(kernel)) {
    for_each_segment(machine, operands.elems(), width_of_repeats(operands.period()), [&](const Segment& segment) {
      const auto term = term_at(segment);
      G* out = gradient + segment.begin;
      for_each_vector(0, segment.count,
                      [=](Elems i, auto lanes) { store_or_add(term(i, lanes), out + i, accumulate, lanes); });
    });
    return;
  }
  auto* sums = static_cast<float*>(kernel.workspace);
  sum_over_repeats(machine, operands.elems(), operands.period(), term_at, sums);
  for_each_chunk(machine, operands.period(), [=](Elems begin, Elems end) {
    for_each_vector(begin, end,
                    [=](Elems i, auto lanes) { store_or_add(load(sums + i, lanes), gradient + i, accumulate, lanes); });
  });
}

// Calls f with the gradient's terms, as sum_over_repeats() takes them.
template <class T, class F>
void with_terms(const ArithmeticBackward& kernel, F f) {
  const ArithmeticOperands& operands = kernel.operands;
  const auto* dout = static_cast<const T*>(kernel.dout);
  switch (kernel.kind) {
    case ArithmeticKind::add:
    case ArithmeticKind::subtract: {
      const float sign = kernel.kind == ArithmeticKind::subtract && kernel.of_b ? -1 : 1;
      return f([=](const Segment& segment) {
        return [=, dout = dout + segment.begin](Elems i, auto lanes) {
          return hn::Mul(splat(sign), load(dout + i, lanes));
        };
      });
    }
    case ArithmeticKind::multiply: {
      const auto other = kernel.of_b ? along_result<T>(operands.a, operands.a_elems, operands)
                                     : along_result<T>(operands.b, operands.b_elems, operands);
      return f([&](const Segment& segment) {
        return [dout = dout + segment.begin, other = other.at(segment)](Elems i, auto lanes) {
          return hn::Mul(load(dout + i, lanes), load(other + i, lanes));
        };
      });
    }
    case ArithmeticKind::divide: {
      const auto divisor = along_result<T>(operands.b, operands.b_elems, operands);
      if (!kernel.of_b) {
        return f([&](const Segment& segment) {
          return [dout = dout + segment.begin, b = divisor.at(segment)](Elems i, auto lanes) {
            return hn::Div(load(dout + i, lanes), load(b + i, lanes));
          };
        });
      }
      // Two quotients and not one by b^2, which may be beyond f32 where the gradient is not.
      const auto dividend = along_result<T>(operands.a, operands.a_elems, operands);
      return f([&](const Segment& segment) {
        return [dout = dout + segment.begin, a = dividend.at(segment), b = divisor.at(segment)](Elems i, auto lanes) {
          const FloatVector by = load(b + i, lanes);
          return hn::Neg(hn::Mul(hn::Div(load(dout + i, lanes), by), hn::Div(load(a + i, lanes), by)));
        };
      });
    }
  }
}

}  // namespace

void run(Machine& machine, const ArithmeticForward& kernel) {
  dispatch(kernel.operands.dtype, [&]<class T>(T) { apply<T>(machine, kernel); });
}

Bytes workspace_bytes(Machine& /*machine*/, const ArithmeticBackward& kernel) {
  return is_repeated(kernel) ? repeat_sums_bytes(kernel.operands.elems(), kernel.operands.period()) : 0;
}

void run(Machine& machine, const ArithmeticBackward& kernel) {
  dispatch(kernel.operands.dtype, [&]<class T>(T) {
    with_terms<T>(kernel, [&](auto term_at) {
      dispatch(kernel.gradient_dtype, [&]<class G>(G) { write_gradient<G>(machine, kernel, term_at); });
    });
  });
}

template void run_kernel(Machine&, const ArithmeticForward&);
template Bytes workspace_of_kernel(Machine&, const ArithmeticBackward&);
template void run_kernel(Machine&, const ArithmeticBackward&);

}  // namespace retape::nn::cpu
